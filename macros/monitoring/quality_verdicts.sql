{% macro quality_verdicts(models, references={}, period='month', periods_before=12, fewest_before=3, limit=6, least_change=0.01) -%}
    {%- if execute -%}
    {%- set nodes, names = {}, {} -%}
    {%- for name in models -%}
        {%- set node = assay._node_named(name) -%}
        {%- do nodes.update({name: node}) -%}
        {%- do names.update({node.unique_id: name}) -%}
    {%- endfor -%}
    {%- set column = 'table_name, column_name, rule_id' -%}
    {%- set before = 'partition by ' ~ column ~ ' order by period rows between ' ~ periods_before ~ ' preceding and 1 preceding' -%}
with table_measures as (

    {{ assay.quality_measures(models, references, period) }}

),

tables as (

    select *
    from (
        values
        {%- for name in models %}
        ('{{ name }}', {{ assay._is_of_features(nodes[name]) }}){{ ',' if not loop.last }}
        {%- endfor %}
    ) as listed (table_name, is_of_features)

),

column_measures as (

    select
        table_name,
        period,
        row_count,
        unnest(measures, recursive := true)
    from table_measures

),

rejections as (

    select
        table_name,
        null as column_name,
        rule_id,
        period,
        row_count,
        coalesce(broken_rules[rule_id], 0)::bigint as bad_count
    from table_measures
    inner join (
        select distinct
            table_name,
            unnest(map_keys(broken_rules)) as rule_id
        from table_measures
    ) as rules using (table_name)

),

counts as (

    select
        table_name,
        column_name,
        rule_id,
        period,
        row_count,
        bad_count
    from column_measures
    where bad_count is not null
    union all
    select * from rejections

),

shares as (

    select
        *,
        rule_id in ('unknown_key', 'duplicate_rows') as is_absolute,
        bad_count / row_count as observed,
        list(bad_count / row_count) over ({{ before }}) as observed_before
    from counts

),

expected_shares as (

    select
        *,
        if(is_absolute, 0, list_aggregate(observed_before, 'median')) as expected,
        if(is_absolute, 0, list_aggregate(list_transform(observed_before, lambda x: abs(x - expected)), 'median')) as usual_miss,
        -- What is in no window yet is NULL, and activity comes and goes.
        if(is_of_features, 2, 1) * {{ fewest_before }} as fewest_before,
        if(is_of_features, 10, 1) * {{ least_change }} as least_change
    from shares
    inner join tables using (table_name)

),

judged_shares as (

    select
        {{ column }},
        period,
        row_count,
        bad_count,
        observed,
        expected,
        if(rule_id = 'duplicate_rows', 0, {{ assay._allowed_share('expected', 'usual_miss', 'row_count', limit, 'least_change') }}) as allowed,
        case
            when not is_absolute and coalesce(len(observed_before), 0) < fewest_before then 'too early'
            when observed > allowed then 'broken'
            else 'ok'
        end as verdict,
        format('{:,} of {:,} rows', bad_count, row_count) as detail
    from expected_shares

),

spreads as (

    select
        {{ column }},
        period,
        row_number() over (partition by {{ column }} order by period) as period_number,
        map_entries(spread) as spread
    from column_measures
    where spread is not null and period is not null

),

-- How many values are of which magnitude, in a period and in those before it.
magnitudes as (

    select
        {{ column }},
        period,
        period_number,
        spread.key as bucket,
        sum(spread.value) filter (not is_before) as current_count,
        sum(spread.value) filter (is_before) as reference_count
    from (
        select
            spreads.* exclude (spread),
            unnest(spreads.spread) as spread,
            false as is_before
        from spreads
        union all
        select
            spreads.* exclude (spread),
            unnest(earlier.spread) as spread,
            true as is_before
        from spreads
        inner join spreads as earlier
            on
                spreads.table_name = earlier.table_name
                and spreads.column_name is not distinct from earlier.column_name
                and spreads.rule_id = earlier.rule_id
                and spreads.period_number > earlier.period_number
                and spreads.period_number <= earlier.period_number + {{ periods_before }}
    ) as both_sides
    group by all

),

-- Both distribution functions, in steps.
steps as (

    select
        *,
        sign(bucket) * 1e-9 * pow(1.04, abs(bucket)) * 2 / 2.04 as magnitude,
        sum(current_count) over up_to_here as current_below,
        sum(reference_count) over up_to_here as reference_below,
        sum(current_count) over of_the_period as current_rows,
        sum(reference_count) over of_the_period as reference_rows
    from magnitudes
    window
        of_the_period as (partition by {{ column }}, period),
        up_to_here as (partition by {{ column }}, period order by bucket)

),

described as (

    select
        {{ column }},
        period,
        period_number,
        current_rows::bigint as current_rows,
        coalesce(reference_rows, 0)::bigint as reference_rows,
        max(abs(coalesce(reference_below, 0) / reference_rows - coalesce(current_below, 0) / current_rows)) as distance,
        min(magnitude) filter (current_below >= 0.5 * current_rows) as middle,
        min(magnitude) filter (current_below >= 0.99 * current_rows) as last_percentile,
        min(magnitude) filter (reference_below >= 0.25 * reference_rows) as first_quartile,
        min(magnitude) filter (reference_below >= 0.5 * reference_rows) as reference_middle,
        min(magnitude) filter (reference_below >= 0.75 * reference_rows) as third_quartile,
        -- Infinite quartiles are no distance from each other.
        if(first_quartile = third_quartile, 0, third_quartile - first_quartile) as quartile_range,
        first_quartile - 3 * quartile_range as lowest,
        third_quartile + 3 * quartile_range as highest
    from steps
    group by all

),

judged_shifts as (

    select
        table_name,
        column_name,
        'shifted_values' as rule_id,
        period,
        current_rows as row_count,
        null as bad_count,
        distance as observed,
        0 as expected,
        -- A fifth, or what chance alone exceeds once in a thousand times.
        greatest(0.2, 1.95 * sqrt(1 / current_rows + 1 / nullif(reference_rows, 0))) as allowed,
        {{ assay._spread_verdict(fewest_before, 30) }} as verdict,
        format('median {:.4g}, before {:.4g}', middle, reference_middle) as detail
    from described
    where rule_id = 'values'

),

outside as (

    select
        described.*,
        coalesce(sum(current_count) filter (magnitude not between lowest and highest), 0)::bigint as current_outside,
        coalesce(sum(reference_count) filter (magnitude not between lowest and highest), 0)::bigint as reference_outside
    from described
    inner join steps using (table_name, column_name, rule_id, period)
    where described.rule_id = 'values'
    group by all

),

outlier_shares as (

    select
        *,
        current_outside / current_rows as observed,
        reference_outside / nullif(reference_rows, 0) as expected,
        list(abs(observed - expected)) over ({{ before }}) as misses_before
    from outside

),

judged_outliers as (

    select
        table_name,
        column_name,
        'more_outliers' as rule_id,
        period,
        current_rows as row_count,
        current_outside as bad_count,
        observed,
        expected,
        {{ assay._allowed_share(
            'expected', "coalesce(list_aggregate(misses_before, 'median'), 0)", 'current_rows', limit, least_change
        ) }} as allowed,
        {{ assay._spread_verdict(fewest_before, 30) }} as verdict,
        format('{:,} of {:,} values outside {:.4g} to {:.4g}', current_outside, current_rows, lowest, highest) as detail
    from outlier_shares

),

latenesses as (

    select
        *,
        list(last_percentile) over ({{ before }}) as observed_before
    from described
    where rule_id = 'late_rows'

),

judged_latenesses as (

    select
        {{ column }},
        period,
        current_rows as row_count,
        null as bad_count,
        last_percentile as observed,
        list_aggregate(observed_before, 'median') as expected,
        greatest(
            2 * expected,
            expected + {{ limit }} * 1.4826 * list_aggregate(list_transform(observed_before, lambda x: abs(x - expected)), 'median')
        ) as allowed,
        {{ assay._spread_verdict(fewest_before, 100) }} as verdict,
        format('1 in 100 rows came more than {:.4g} hours after its event', observed / 3600) as detail
    from latenesses

),

judged_tables as (

    select
        table_name,
        null as column_name,
        'empty_table' as rule_id,
        null as period,
        coalesce(sum(row_count), 0)::bigint as row_count,
        null as bad_count,
        null as observed,
        null as expected,
        null as allowed,
        if(count(row_count) = 0, 'empty', 'ok') as verdict,
        format('{:,} rows', coalesce(sum(row_count), 0)::bigint) as detail
    from tables
    left join table_measures using (table_name)
    group by table_name

),

judged as (

    select * from judged_tables
    union all
    select * from judged_shares
    union all
    select * from judged_shifts
    union all
    select * from judged_outliers
    union all
    select * from judged_latenesses

),

lineage (table_name, upstream_name) as (

    values
    ('', '')
    {%- for name in models -%}
        {%- for unique_id in assay._upstream_of(nodes[name]) if unique_id in names %},
    ('{{ name }}', '{{ names[unique_id] }}')
        {%- endfor -%}
    {%- endfor %}

),

-- What is broken where the same is broken further up.
inherited as (

    select
        broken.table_name,
        broken.column_name,
        broken.rule_id,
        broken.period,
        upstream.table_name as upstream_name
    from judged as broken
    inner join lineage using (table_name)
    inner join judged as upstream
        on
            lineage.upstream_name = upstream.table_name
            and {{ assay._same_finding('broken', 'upstream') }}
    where broken.verdict = 'broken' and upstream.verdict = 'broken'

),

beginnings as (

    select
        {{ column }},
        period,
        string_agg(upstream_name, ', ' order by upstream_name) as begins_in
    from inherited
    anti join inherited as inherited_itself
        on
            inherited.upstream_name = inherited_itself.table_name
            and {{ assay._same_finding('inherited', 'inherited_itself') }}
    group by all

)

select
    judged.*,
    beginnings.begins_in
from judged
left join beginnings
    on
        judged.table_name = beginnings.table_name
        and {{ assay._same_finding('judged', 'beginnings') }}
    {%- else -%}
    {{ assay.quality_measures(models, references, period) }}
    {%- endif -%}
{%- endmacro %}


{#- The share of rows up to which nothing is wrong: usual misses, and what chance does to few rows. -#}
{% macro _allowed_share(expected, usual_miss, rows, limit, least_change) -%}
    least(1, {{ expected }} + greatest(
            {{ least_change }},
            {{ limit }} * 1.4826 * {{ usual_miss }},
            -- Agresti and Coull's share: a baseline of 0 does not make the first fault a broken rule.
            {{ limit }} * sqrt(({{ expected }} * {{ rows }} + 2) * ({{ rows }} - {{ expected }} * {{ rows }} + 2)) / pow({{ rows }} + 4, 1.5)
        ))
{%- endmacro %}


{% macro _spread_verdict(fewest_before, fewest_rows) -%}
    case
            when period_number <= {{ fewest_before }} then 'too early'
            when least(current_rows, reference_rows) < {{ fewest_rows }} then 'too few rows'
            when observed > allowed then 'broken'
            else 'ok'
        end
{%- endmacro %}


{% macro _same_finding(one, other) -%}
    {{ one }}.rule_id = {{ other }}.rule_id
            and {{ one }}.period = {{ other }}.period
            and {{ one }}.column_name is not distinct from {{ other }}.column_name
{%- endmacro %}

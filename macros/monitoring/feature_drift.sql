{% macro feature_drift(views, training_sets=[], months=3, rows=1000, bins=10, epsilon=0.0001) -%}
    {%- for name in views + training_sets -%}
        {%- do ref(name) -%}
    {%- endfor -%}
    {%- if execute -%}
        {%- set found = assay._compared_views(views, training_sets) -%}
with {{ assay._drift_samples(found, training_sets, rows) }},

{{ assay._drift_comparisons(found, training_sets, months) }},

{{ assay._drift_measures(found, bins, epsilon) }},

{{ assay._drift_verdicts(training_sets, assay.drift_limits()) }}

select * from final
    {%- endif -%}
{%- endmacro %}


{#- The states that are looked at. Months are numbered from 1970, what a training set trains on is a period below 0. -#}
{% macro _drift_samples(views, training_sets, rows) -%}
-- The warehouse's own clock, so that building again gives the same.
clock as (

    select {{ assay._month_of('max(updated_at)') }} as this_month
    from (
        {%- for view in views %}
        select max(updated_at) as updated_at from {{ view.relation }}
        {{- ' union all' if not loop.last }}
        {%- endfor %}
    ) as newest

),

trained as (

    {%- for name in training_sets %}
    select
        {{ loop.index }} as reference_number,
        min(prediction_at) as starts_at,
        max(prediction_at) as ends_at
    from {{ ref(name) }}
    where split = 'train'
    {{- '\n    union all' if not loop.last }}
    {%- else %}
    select
        null::integer as reference_number,
        null::timestamp as starts_at,
        null::timestamp as ends_at
    where false
    {%- endfor %}

),
{% for view in views %}
{%- set v = 'v' ~ view.number %}
-- As of each arrival: what expires, expires of itself.
{{ v }}_arrived as (

    select
        valid_from,
        {{ assay._month_of('valid_from') }} as month_number,
        hash({{ view.entity_keys | join(', ') }}) as entity,
        -- Its place in an order of chance, from 0 to 1.
        hash({{ view.entity_keys | join(', ') }}, valid_from) / 18446744073709551615 as place
        {%- for feature in view.features %},
        {{ feature.name }}::{{ 'varchar' if feature.is_category else 'double' }} as x{{ feature.number }}
        {%- endfor %}
    from {{ view.relation }}
    where updated_at = valid_from

),

{{ v }}_periods as (

    select
        period,
        count(*) as arrivals,
        {{ rows }} / count(*) as share
    from (
        select month_number as period from {{ v }}_arrived
        union all
        select -trained.reference_number as period
        from {{ v }}_arrived
        inner join trained on valid_from between trained.starts_at and trained.ends_at
    ) as placed
    group by period

),

{{ v }}_states as materialized (

    select
        periods.period,
        arrived.* exclude (valid_from, month_number, place)
    from {{ v }}_arrived as arrived
    inner join {{ v }}_periods as periods on arrived.month_number = periods.period and arrived.place <= periods.share
    union all
    select
        periods.period,
        arrived.* exclude (valid_from, month_number, place)
    from {{ v }}_arrived as arrived
    inner join trained on arrived.valid_from between trained.starts_at and trained.ends_at
    inner join {{ v }}_periods as periods on periods.period = -trained.reference_number and arrived.place <= periods.share

),
{% endfor %}
periods as (
    {% for view in views %}
    select
        {{ view.number }} as view_number,
        periods.period,
        periods.arrivals,
        states.looked_at,
        states.entities
    from {{ 'v' ~ view.number }}_periods as periods
    inner join (
        select
            period,
            count(*) as looked_at,
            count(distinct entity) as entities
        from {{ 'v' ~ view.number }}_states
        group by period
    ) as states on periods.period = states.period
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

),

numbers as materialized (
    {% for feature in assay._features_of(views, is_category=false) %}
    select
        {{ feature.number }} as feature_number,
        period,
        x{{ feature.number }} as x,
        count(*) as occurrences
    from v{{ feature.view_number }}_states
    where x{{ feature.number }} is not null and not isnan(x{{ feature.number }})
    group by period, x
    {{- '\n\n    union all\n' if not loop.last }}
    {%- else %}
    select
        null::integer as feature_number,
        null::bigint as period,
        null::double as x,
        null::bigint as occurrences
    where false
    {%- endfor %}

),

categories as materialized (
    {% for feature in assay._features_of(views, is_category=true) %}
    select
        {{ feature.number }} as feature_number,
        period,
        x{{ feature.number }} as x,
        count(*) as occurrences
    from v{{ feature.view_number }}_states
    where x{{ feature.number }} is not null
    group by period, x
    {{- '\n\n    union all\n' if not loop.last }}
    {%- else %}
    select
        null::integer as feature_number,
        null::bigint as period,
        null::varchar as x,
        null::bigint as occurrences
    where false
    {%- endfor %}

)
{%- endmacro %}


{#- What is compared with what: each month with those before it, and with what a training set trains on. -#}
{% macro _drift_comparisons(views, training_sets, months) -%}
features as (

    select unnest([
        {%- for feature in assay._features_of(views) %}
        {feature_number: {{ feature.number }}, view_number: {{ feature.view_number }}, view: '{{ feature.view }}', feature: '{{ feature.name }}', is_category: {{ feature.is_category | lower }}, trained_on: {{ feature.trained_on }}::integer[]}
        {{- ',' if not loop.last }}
        {%- endfor %}
    ], max_depth := 2)

),

months as (

    select
        view_number,
        min(period) as first_month,
        unnest(generate_series(min(period), least(max(period), any_value(clock.this_month) - 1))) as month_number
    from periods
    cross join clock
    where period >= 0
    group by view_number

),

comparisons as (

    select
        *,
        row_number() over (order by feature_number, reference_number, month_number)::integer as comparison
    from (
        select
            features.* exclude (trained_on),
            0 as reference_number,
            months.month_number,
            months.month_number - {{ months }} as from_month,
            months.month_number - 1 as to_month,
            months.month_number - {{ months }} < months.first_month as is_early,
            false as is_trained_on
        from features
        inner join months on features.view_number = months.view_number
        union all
        select
            features.* exclude (trained_on),
            trained.reference_number,
            months.month_number,
            {{ assay._month_of('trained.starts_at') }} as from_month,
            {{ assay._month_of('trained.ends_at') }} as to_month,
            false as is_early,
            months.month_number <= {{ assay._month_of('trained.ends_at') }} as is_trained_on
        from features
        inner join months on features.view_number = months.view_number
        inner join trained
            on
                list_contains(features.trained_on, trained.reference_number)
                and months.month_number >= {{ assay._month_of('trained.starts_at') }}
    ) as listed

),

sides as (

    select
        comparison,
        feature_number,
        view_number,
        month_number as period,
        false as is_reference
    from comparisons
    union all
    select
        comparison,
        feature_number,
        view_number,
        unnest(generate_series(from_month, to_month)) as period,
        true as is_reference
    from comparisons
    where reference_number = 0
    union all
    select
        comparison,
        feature_number,
        view_number,
        -reference_number as period,
        true as is_reference
    from comparisons
    where reference_number > 0

)
{%- endmacro %}


{% macro _drift_measures(views, bins, epsilon) -%}
    {%- set running = 'over (rows between unbounded preceding and current row)' -%}
numbers_sided as (

    {{ assay._sided('numbers') }}

),

-- One order for all comparisons: running totals need no partition, only to begin at what came before.
numbers_counted as (

    select
        comparison,
        comparison is distinct from lead(comparison) over () or x is distinct from lead(x) over () as is_last,
        sum(r) {{ running }} as r,
        sum(c) {{ running }} as c
    from (select * from numbers_sided order by comparison, x) as ordered

),

-- Both distribution functions, in steps: how many rows are at most x.
numbers_steps as materialized (

    select
        comparison,
        r::bigint as r,
        c::bigint as c
    from numbers_counted
    where is_last

),

numbers_ends as (

    select
        comparison,
        max(r) as r,
        max(c) as c
    from numbers_steps
    group by comparison

),

numbers_sizes as (

    select
        comparison,
        lag(r, 1, 0) over (order by comparison) as r_of_others,
        lag(c, 1, 0) over (order by comparison) as c_of_others,
        r - r_of_others as n,
        c - c_of_others as m
    from numbers_ends

),

numbers_rises as materialized (

    select
        steps.comparison,
        steps.r - sizes.r_of_others as r,
        steps.c - sizes.c_of_others as c,
        steps.r_before - sizes.r_of_others as r_before,
        steps.c_before - sizes.c_of_others as c_before,
        sizes.n,
        sizes.m
    from (
        select
            *,
            lag(r, 1, 0) over () as r_before,
            lag(c, 1, 0) over () as c_before
        from numbers_steps
    ) as steps
    inner join numbers_sizes as sizes on steps.comparison = sizes.comparison

),

{{ assay._bins('numbers', bins, by=['comparison']) }},

categories_merged as (

    select
        comparison,
        x,
        sum(r) as r,
        sum(c) as c
    from ({{ assay._sided('categories') }}) as sided
    group by comparison, x

),

categories_shares as (

    select
        *,
        r / nullif(n, 0)::double as p,
        c / nullif(m, 0)::double as q,
        (r + c) * n / (n + m)::double as r_expected,
        (r + c) * m / (n + m)::double as c_expected
    from (
        select
            *,
            sum(r) over (partition by comparison) as n,
            sum(c) over (partition by comparison) as m
        from categories_merged
    ) as counted

),

measured as (

    select
        *,
        null::double as chi2,
        null::bigint as category_count
    from (
        select
            comparison,
            any_value(n) as n,
            any_value(m) as m,
            round({{ assay._ks() }}, 9) as ks
        from numbers_rises
        group by comparison
    ) as steps
    union all
    select
        comparison,
        any_value(n)::bigint as n,
        any_value(m)::bigint as m,
        null::double as ks,
        sum(
            (r - r_expected) * (r - r_expected) / nullif(r_expected, 0) + (c - c_expected) * (c - c_expected) / nullif(c_expected, 0)
            order by r, c
        ) as chi2,
        count(*) as category_count
    from categories_shares
    group by comparison

),

divergences as (

    {{ assay._divergences('(select comparison, p, q from numbers_bins union all select comparison, p, q from categories_shares)', epsilon, by=['comparison']) }}

),

moments as (

    select
        numbers.feature_number,
        numbers.period,
        any_value(means.present) as present,
        any_value(means.mean) as mean,
        any_value(means.least) as least,
        sum(numbers.occurrences * pow(numbers.x - means.mean, 2) order by numbers.x) as squares
    from numbers
    inner join (
        select
            feature_number,
            period,
            sum(occurrences) as present,
            sum(occurrences * x order by x) / sum(occurrences) as mean,
            min(x) as least
        from numbers
        where isfinite(x)
        group by feature_number, period
    ) as means on numbers.feature_number = means.feature_number and numbers.period = means.period
    where isfinite(numbers.x)
    group by numbers.feature_number, numbers.period

),

means as (

    select
        sides.comparison,
        sides.is_reference,
        sum(moments.present) as present,
        sum(moments.present * moments.mean order by sides.period) / sum(moments.present) as mean,
        min(moments.least) as least
    from sides
    inner join moments on sides.feature_number = moments.feature_number and sides.period = moments.period
    group by sides.comparison, sides.is_reference

),

spreads as (

    select
        sides.comparison,
        sqrt(
            sum(moments.squares + moments.present * pow(moments.mean - means.mean, 2) order by sides.period)
            / nullif(any_value(means.present) - 1, 0)
        ) as deviation
    from sides
    inner join moments on sides.feature_number = moments.feature_number and sides.period = moments.period
    inner join means on sides.comparison = means.comparison and means.is_reference
    where sides.is_reference
    group by sides.comparison

),

looked_at as (

    select
        sides.comparison,
        coalesce(sum(periods.looked_at) filter (sides.is_reference), 0)::bigint as reference_rows,
        coalesce(sum(periods.looked_at) filter (not sides.is_reference), 0)::bigint as window_rows,
        coalesce(sum(periods.arrivals) filter (not sides.is_reference), 0)::bigint as window_arrivals,
        max(periods.entities) filter (sides.is_reference) as reference_entities,
        max(periods.entities) filter (not sides.is_reference) as window_entities
    from sides
    left join periods on sides.view_number = periods.view_number and sides.period = periods.period
    group by sides.comparison

),

-- How busy the months of the reference were.
volumes as (

    select
        comparisons.comparison,
        avg(periods.arrivals) as arrivals
    from comparisons
    inner join periods
        on
            comparisons.view_number = periods.view_number
            and periods.period between comparisons.from_month and comparisons.to_month
    group by comparisons.comparison

),

compared as (

    select
        comparisons.*,
        looked_at.* exclude (comparison),
        volumes.* exclude (comparison),
        coalesce(measured.n, 0) as reference_present,
        coalesce(measured.m, 0) as window_present,
        measured.ks,
        measured.chi2,
        measured.category_count,
        round(divergences.psi, 9) as psi,
        round(divergences.js, 9) as js,
        before.mean as reference_mean,
        since.mean as window_mean,
        least(before.least, since.least) as least,
        spreads.deviation,
        (looked_at.window_rows - window_present) / nullif(looked_at.window_rows, 0)
        - (looked_at.reference_rows - reference_present) / nullif(looked_at.reference_rows, 0) as null_shift
    from comparisons
    inner join looked_at on comparisons.comparison = looked_at.comparison
    left join volumes on comparisons.comparison = volumes.comparison
    left join measured on comparisons.comparison = measured.comparison
    left join divergences on comparisons.comparison = divergences.comparison
    left join spreads on comparisons.comparison = spreads.comparison
    left join means as before on comparisons.comparison = before.comparison and before.is_reference
    left join means as since on comparisons.comparison = since.comparison and not since.is_reference

)
{%- endmacro %}


{#- How often each value of a period stands on either side of the comparisons that it takes part in. -#}
{% macro _sided(counts) -%}
    select
        sides.comparison,
        counts.x,
        if(sides.is_reference, counts.occurrences, 0)::integer as r,
        if(sides.is_reference, 0, counts.occurrences)::integer as c
    from {{ counts }} as counts
    inner join sides on counts.feature_number = sides.feature_number and counts.period = sides.period
{%- endmacro %}


{% macro _month_of(at) -%}
    datediff('month', date '1970-01-01', {{ at }})
{%- endmacro %}


{% macro _first_of(month_number) -%}
    (timestamp '1970-01-01' + to_months(({{ month_number }})::integer))
{%- endmacro %}


{#- P-values in closed forms, which need no more of an engine than exp: Kolmogorov's distribution with Stephens' correction
    (1970) for KS and, since a NULL is a value like another, for shares of NULLs; Chernoff's bound for chi-square. -#}
{% macro _drift_verdicts(training_sets, limits) -%}
-- States of one entity are alike: there are no more chances than entities.
independent as (

    select
        *,
        least(reference_present, reference_entities)::double as n,
        least(window_present, window_entities)::double as m,
        least(reference_rows, reference_entities)::double as n_with_nulls,
        least(window_rows, window_entities)::double as m_with_nulls
    from compared

),

scaled as (

    select
        *,
        {{ assay._stephens('ks', 'n', 'm') }} as ks_scaled,
        {{ assay._stephens('abs(null_shift)', 'n_with_nulls', 'm_with_nulls') }} as null_scaled,
        chi2 * n * m / (n + m) / (reference_present * window_present / nullif(reference_present + window_present, 0)) as chi2_scaled
    from independent

),

chances as (

    select
        comparison,
        month_number,
        false as is_of_nulls,
        case
            when least(reference_present, window_present) = 0 then null
            when is_category then {{ assay._chernoff('chi2_scaled', '(category_count - 1)') }}
            else {{ assay._kolmogorov('ks_scaled') }}
        end as p
    from scaled
    union all
    select
        comparison,
        month_number,
        true as is_of_nulls,
        {{ assay._kolmogorov('null_scaled') }} as p
    from scaled
    where null_scaled is not null

),

-- Benjamini and Hochberg, over all that is compared for a month.
adjusted as (

    select
        *,
        least(1, min(p * tests / place) over (partition by month_number order by place desc)) as p_value
    from (
        select
            *,
            count(*) over (partition by month_number) as tests,
            row_number() over (partition by month_number order by p, comparison, is_of_nulls) as place
        from chances
        where p is not null
    ) as placed

),

known as (

    select
        scaled.*,
        of_values.p_value,
        of_nulls.p_value as null_p_value,
        scaled.is_early or least(scaled.reference_rows, scaled.window_rows) < {{ limits.fewest_rows }} as is_incomplete
    from scaled
    left join adjusted as of_values on scaled.comparison = of_values.comparison and not of_values.is_of_nulls
    left join adjusted as of_nulls on scaled.comparison = of_nulls.comparison and of_nulls.is_of_nulls

),

-- Only months before judge a month: what comes later changes no verdict.
remembered as (

    select
        *,
        count(*) filter (not is_incomplete) over before as windows_before,
        list(psi) filter (not is_incomplete) over before as psi_before,
        list(ks) filter (not is_incomplete) over before as ks_before,
        list(abs(null_shift)) filter (not is_incomplete) over before as null_shift_before,
        (window_mean - least) / nullif(reference_mean - least, 0) as excess_ratio,
        window_arrivals / nullif(arrivals, 0) as volume_ratio
    from known
    window before as (
        partition by feature_number, reference_number
        order by month_number
        rows between unbounded preceding and 1 preceding
    )

),

sized as (

    select
        *,
        {%- for verdict in ['drift', 'watch'] %}
        coalesce(
            p_value < {{ limits.false_discoveries }}
            and least(reference_present, window_present) >= {{ limits.fewest_rows }}
            and (
                psi >= greatest({{ limits['psi_' ~ verdict] }}, {{ assay._usual('psi_before') }})
                or ks >= greatest({{ limits['ks_' ~ verdict] }}, {{ assay._usual('ks_before') }})
            ),
            false
        ) as is_{{ verdict }},
        coalesce(
            null_p_value < {{ limits.false_discoveries }}
            and abs(null_shift) >= greatest({{ limits['null_' ~ verdict] }}, {{ assay._usual('null_shift_before') }}),
            false
        ) as is_null_{{ verdict }},
        {%- endfor %}
        -- A busier month moves counts and sums over days; one without bound grows by itself.
        coalesce(
            regexp_matches(feature, '_(count|sum)_all$')
            or regexp_matches(feature, '_(count|sum)_[0-9]+d$')
            and excess_ratio between least(sqrt(volume_ratio), pow(volume_ratio, 2))
            and greatest(sqrt(volume_ratio), pow(volume_ratio, 2)),
            false
        ) as is_volume
    from remembered

),

final as (

    select
        view,
        feature,
        strftime({{ assay._first_of('month_number') }}, '%Y-%m') as "window",
        case sized.reference_number
            when 0 then 'rolling'
            {%- for name in training_sets %}
            when {{ loop.index }} then '{{ name }}'
            {%- endfor %}
        end as reference,
        {{ assay._first_of('month_number') }} as window_from,
        {{ assay._first_of('month_number + 1') }} as window_to,
        coalesce(trained.starts_at, {{ assay._first_of('from_month') }}) as reference_from,
        coalesce(trained.ends_at, {{ assay._first_of('to_month + 1') }}) as reference_to,
        reference_rows,
        window_rows,
        window_arrivals,
        psi,
        ks,
        js,
        reference_mean,
        window_mean,
        if(isfinite(window_mean - reference_mean) and deviation > 0, (window_mean - reference_mean) / deviation, null) as mean_shift,
        null_shift,
        p_value,
        case
            when is_trained_on then 'trained on'
            when is_early then 'too early'
            when least(reference_rows, window_rows) < {{ limits.fewest_rows }} then 'too few rows'
            when windows_before < {{ limits.fewest_windows }} then 'too early'
            when category_count > {{ limits.most_categories }} then 'too many categories'
            when is_null_drift then 'drift'
            when is_drift and not is_volume then 'drift'
            when is_drift or (is_watch and is_volume) then 'volume'
            when is_watch or is_null_watch then 'watch'
            else 'stable'
        end as verdict
    from sized
    left join trained on sized.reference_number = trained.reference_number

)
{%- endmacro %}


{% macro _stephens(statistic, n, m) -%}
    {%- set root = 'sqrt(' ~ n ~ ' * ' ~ m ~ ' / nullif(' ~ n ~ ' + ' ~ m ~ ', 0))' -%}
    {{ statistic }} * ({{ root }} + 0.12 + 0.11 / nullif({{ root }}, 0))
{%- endmacro %}


{% macro _kolmogorov(x) -%}
    case
        when {{ x }} < 0.3 then 1
        else least(1, 2 * (exp(-2 * {{ x }} * {{ x }}) - exp(-8 * {{ x }} * {{ x }}) + exp(-18 * {{ x }} * {{ x }}) - exp(-32 * {{ x }} * {{ x }})))
    end
{%- endmacro %}


{% macro _chernoff(chi2, degrees) -%}
    case
        when {{ chi2 }} <= {{ degrees }} then 1
        else exp({{ degrees }} / 2 * (ln({{ chi2 }} / {{ degrees }}) + 1) - {{ chi2 }} / 2)
    end
{%- endmacro %}


{#- What a figure was at most, as usual: half as much again as its median, or three usual deviations above it. -#}
{% macro _usual(before) -%}
    coalesce(greatest(
        1.5 * list_aggregate({{ before }}, 'median'),
        list_aggregate({{ before }}, 'median') + 3 * 1.4826 * list_aggregate({{ before }}, 'mad')
    ), 0)
{%- endmacro %}


{#- The views and their features, numbered: text is slow to sort. -#}
{% macro _compared_views(views, training_sets) -%}
    {%- set numbers = ['tinyint', 'smallint', 'integer', 'bigint', 'hugeint', 'utinyint', 'usmallint', 'uinteger', 'ubigint', 'float', 'double', 'decimal', 'numeric', 'real', 'int'] -%}
    {%- set found, known = [], [] -%}
    {%- for name in views -%}
        {%- set view = assay.feature_view(name) -%}
        {%- set view_number, features = loop.index, [] -%}
        {%- for column in view.described if column.name in view.columns and not column.name.endswith('_id') -%}
            {%- set type = (column.type or '').lower().split('(')[0] | trim -%}
            {%- if not type -%}
                {%- do assay._refuse(name ~ '.' ~ column.name ~ ' has no data_type: assay features yaml ' ~ name ~ ' --write') -%}
            {%- endif -%}
            {%- if type in numbers or type in ['varchar', 'boolean', 'text', 'enum'] -%}
                {%- set trained_on = [] -%}
                {%- for training_set in training_sets -%}
                    {%- if column.name in assay._trained_columns(training_set, view) -%}
                        {%- do trained_on.append(loop.index) -%}
                    {%- endif -%}
                {%- endfor -%}
                {%- do known.append(column.name) -%}
                {%- do features.append({
                    'number': known | length, 'name': column.name, 'view': name, 'view_number': view_number,
                    'is_category': type not in numbers, 'trained_on': trained_on,
                }) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do found.append({
            'number': loop.index, 'relation': ref(name), 'entity_keys': view.entity_keys, 'features': features,
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro _features_of(views, is_category=none) -%}
    {%- set found = [] -%}
    {%- for view in views -%}
        {%- for feature in view.features if is_category is none or feature.is_category == is_category -%}
            {%- do found.append(feature) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The columns of a view that a training set joins: what its point_in_time_join names, or all where that cannot be read. -#}
{% macro _trained_columns(training_set, view) -%}
    {%- set names = [] -%}
    {%- for node in graph.nodes.values() if node.name == training_set and view.unique_id in node.depends_on.nodes -%}
        {%- set asked = modules.re.findall("(?s)'view': *'" ~ view.name ~ "',\\s*'columns': *\\[(.*?)\\]", node.raw_code) -%}
        {%- do names.extend(modules.re.findall("\\w+", asked | join(' ')) if asked else view.columns) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

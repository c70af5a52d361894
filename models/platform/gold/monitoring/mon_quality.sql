with tables as (

    select * from {{ ref('mon_quality__tables') }}

),

measures as (

    select * from {{ ref('mon_quality__measures') }}

),

shares as (

    select * from {{ ref('mon_quality__shares') }}

),

distributions as (

    select * from {{ ref('mon_quality__distributions') }}

),

volume as (

    select * from {{ ref('mon_volume') }}

),

freshness as (

    select * from {{ ref('mon_freshness') }}

),

rules as (

    select
        rule_id,
        dimension,
        reason,
        remedy
    from {{ ref('mon_rules') }}
    union all
    select
        rule_id,
        if(starts_with(rule_id, 'missing_'), 'completeness', 'consistency') as dimension,
        reason,
        remedy
    from {{ ref('slv_rules') }}

),

empty_tables as (

    select
        tables.table_name,
        null as column_name,
        'empty_table' as rule_id,
        null as period,
        coalesce(sum(measures.row_count), 0)::bigint as row_count,
        null as bad_count,
        null as observed,
        null as expected,
        null as allowed,
        if(count(measures.row_count) = 0, 'empty', 'ok') as verdict,
        format('{:,} rows', coalesce(sum(measures.row_count), 0)::bigint) as detail
    from tables
    left join measures on tables.table_name = measures.table_name and measures.rule_id = 'empty_table'
    where tables.left_out_because is null
    group by tables.table_name

),

left_out as (

    select
        table_name,
        null as column_name,
        'left_out' as rule_id,
        null as period,
        0 as row_count,
        null as bad_count,
        null as observed,
        null as expected,
        null as allowed,
        'left out' as verdict,
        concat_ws('; ', left_out_because, not_used_because) as detail
    from tables
    where left_out_because is not null or not_used_because is not null
    union all
    select
        table_name,
        unnest(untyped_features) as column_name,
        'left_out' as rule_id,
        null as period,
        0 as row_count,
        null as bad_count,
        null as observed,
        null as expected,
        null as allowed,
        'left out' as verdict,
        format('it has no data_type, and drift is not looked for: assay features yaml {} --write', table_name) as detail
    from tables

),

missing_days as (

    select
        table_name,
        null as column_name,
        'missing_days' as rule_id,
        date_trunc('{{ var("quality_period") }}', event_on)::date as period,
        sum(row_count)::bigint as row_count,
        null as bad_count,
        count(*) filter (verdict in ('missing', 'low')) as observed,
        0 as expected,
        0 as allowed,
        case
            when bool_and(verdict = 'too early') then 'too early'
            when observed > 0 then 'broken'
            else 'ok'
        end as verdict,
        string_agg(event_on || ' ' || verdict, ', ' order by event_on) filter (verdict in ('missing', 'low')) as detail
    from volume
    group by all

),

silent_sources as (

    select
        source_table as table_name,
        null as column_name,
        'silent_source' as rule_id,
        null as period,
        row_count,
        null as bad_count,
        age_seconds as observed,
        null as expected,
        limit_seconds as allowed,
        case verdict
            when 'stale' then 'broken'
            when 'fresh' then 'ok'
            else verdict
        end as verdict,
        format('last heard of at {}, of others at {}', last_available_at, known_until) as detail
    from freshness

),

judged as (

    select * from shares
    union all
    select * from distributions
    union all
    select * from empty_tables
    union all
    select * from missing_days
    union all
    select * from silent_sources
    union all
    select * from left_out

),

broken as (

    select * from judged
    where verdict = 'broken'

),

-- What is broken where the same is broken further up.
inherited as (

    select
        broken.table_name,
        broken.column_name,
        broken.rule_id,
        broken.period,
        upstream.table_name as upstream_name
    from broken
    inner join tables on broken.table_name = tables.table_name
    inner join broken as upstream
        on
            list_contains(tables.upstream_names, upstream.table_name)
            and broken.rule_id = upstream.rule_id
            and broken.period = upstream.period
            and broken.column_name is not distinct from upstream.column_name

),

beginnings as (

    select
        inherited.table_name,
        inherited.column_name,
        inherited.rule_id,
        inherited.period,
        string_agg(inherited.upstream_name, ', ' order by inherited.upstream_name) as begins_in
    from inherited
    anti join inherited as inherited_itself
        on
            inherited.upstream_name = inherited_itself.table_name
            and inherited.rule_id = inherited_itself.rule_id
            and inherited.period = inherited_itself.period
            and inherited.column_name is not distinct from inherited_itself.column_name
    group by all

),

final as (

    select
        judged.table_name,
        judged.column_name,
        rules.dimension,
        judged.rule_id,
        judged.period,
        judged.verdict,
        judged.row_count,
        judged.bad_count,
        judged.observed::double as observed,
        judged.expected::double as expected,
        judged.allowed::double as allowed,
        judged.detail,
        beginnings.begins_in,
        rules.reason,
        rules.remedy
    from judged
    left join rules on judged.rule_id = rules.rule_id
    left join beginnings
        on
            judged.table_name = beginnings.table_name
            and judged.rule_id = beginnings.rule_id
            and judged.period = beginnings.period
            and judged.column_name is not distinct from beginnings.column_name

)

select * from final

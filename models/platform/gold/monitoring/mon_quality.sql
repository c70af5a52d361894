with tables as (

    {{ quality_verdicts(names_read('monitored'), references=keys_of_dimensions()) }}

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

missing_days as (

    select
        table_name,
        null as column_name,
        'missing_days' as rule_id,
        date_trunc('month', event_on)::date as period,
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
        string_agg(event_on || ' ' || verdict, ', ' order by event_on) filter (verdict in ('missing', 'low')) as detail,
        null as begins_in
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
        format('last heard of at {}, of others at {}', last_available_at, known_until) as detail,
        null as begins_in
    from freshness

),

judged as (

    select * from tables
    union all
    select * from missing_days
    union all
    select * from silent_sources

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
        judged.begins_in,
        rules.reason,
        rules.remedy
    from judged
    left join rules on judged.rule_id = rules.rule_id

)

select * from final

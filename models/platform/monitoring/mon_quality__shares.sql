with measures as (

    select * from {{ ref('mon_quality__measures') }}

),

tables as (

    select * from {{ ref('mon_quality__tables') }}

),

rules as (

    select * from {{ ref('mon_rules') }}

),

limits as (

    select
        measures.*,
        measures.bad_count / measures.row_count as observed,
        rules.expected as declared,
        rules.periods_before,
        rules.deviations,
        -- What is in no window yet is NULL, and activity comes and goes.
        if(tables.is_of_features, rules.fewest_before_of_features, rules.fewest_before) as fewest_before,
        if(tables.is_of_features, rules.least_change_of_features, rules.least_change) as least_change
    from measures
    inner join tables on measures.table_name = tables.table_name
    left join rules as own_rules on measures.rule_id = own_rules.rule_id
    inner join rules on coalesce(own_rules.rule_id, 'rejected_rows') = rules.rule_id
    where measures.bad_count is not null

),

baselines as (

    select
        *,
        list(observed) over (
            partition by table_name, column_name, rule_id
            order by period
            rows between periods_before preceding and 1 preceding
        ) as observed_before
    from limits

),

expected as (

    select
        *,
        coalesce(declared, list_aggregate(observed_before, 'median')) as expected,
        list_aggregate(list_transform(observed_before, lambda x: abs(x - expected)), 'median') as usual_miss
    from baselines

),

allowed as (

    select
        *,
        {{ allowed_share(
            'expected', 'if(declared is null, usual_miss, 0)', 'row_count', 'deviations', 'least_change'
        ) }} as allowed
    from expected

),

final as (

    select
        table_name,
        column_name,
        rule_id,
        period,
        row_count,
        bad_count,
        observed,
        expected,
        allowed,
        case
            when coalesce(len(observed_before), 0) < fewest_before then 'too early'
            when observed > allowed then 'broken'
            else 'ok'
        end as verdict,
        format('{:,} of {:,} rows', bad_count, row_count) as detail
    from allowed

)

select * from final

{% macro document_changes(checked) -%}
with checked as (

    select * from {{ checked }}

),

kept as (

    select
        * exclude (file_id, rule_ids, problem),
        -- No clock that runs ahead puts a change behind those that come after it.
        least(claimed_at, landed_at) as committed_at,
        case when not is_deleted then sha256(body) end as body_hash
    from checked
    where rule_ids is null

),

final as (

    select
        *,
        -- A version that arrives after a later one tells nothing new: it never was the known state.
        committed_at < max(committed_at) over (
            partition by document_id
            order by available_at range between unbounded preceding and current row
        ) as is_superseded
    from kept

)

select * from final
{%- endmacro %}

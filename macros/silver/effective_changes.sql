{% macro effective_changes(checked, key) -%}
with checked as (

    select * from {{ checked }}

),

kept as (

    select * exclude (file_id, rule_ids)
    from checked
    where rule_ids is null

),

final as (

    -- A change that arrives after a later one of the same row tells nothing new: it never was the known state.
    select
        *,
        struct_pack(committed_at := claimed_at, log_position := log_position)
        < max(struct_pack(committed_at := claimed_at, log_position := log_position)) over (
            partition by {{ key }}
            order by available_at
            range between unbounded preceding and current row
        ) as is_superseded
    from kept

)

select * from final
{%- endmacro %}

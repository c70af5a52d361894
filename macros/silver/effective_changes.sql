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
    -- Of changes that arrive together, the last alone ever was.
    select
        *,
        coalesce(
            row(claimed_at, log_position) < max(row(claimed_at, log_position)) over (
                partition by {{ assay.quoted(key) }}
                order by available_at
                range between unbounded preceding and current row
            )
            or row_number() over (
                partition by {{ assay.quoted(key) }}, available_at
                order by claimed_at desc, log_position desc, source_file desc, file_version desc, row_number desc
            ) > 1,
            false
        ) as is_superseded
    from kept

)

select * from final
{%- endmacro %}

{% test rows_are_conserved(model, bronze) -%}
with both_sides as (

    select
        file_id,
        source_file,
        file_version,
        row_number,
        null as rule_ids,
        false as is_checked
    from {{ bronze }}
    union all
    select
        file_id,
        source_file,
        file_version,
        row_number,
        rule_ids,
        true as is_checked
    from {{ model }}

),

compared as (

    select
        file_id,
        any_value(source_file) as source_file,
        any_value(file_version) as file_version,
        count(*) filter (not is_checked) as rows_landed,
        count(*) filter (is_checked) as rows_checked,
        rows_checked - count(distinct row_number) filter (is_checked) as rows_checked_twice,
        count(*) filter (rule_ids = []) as rows_rejected_for_nothing,
        -- Without it, a row that never landed could make good for one that was lost.
        sum(row_number) filter (not is_checked) is distinct from sum(row_number) filter (is_checked)
            as has_other_row_numbers
    from both_sides
    group by file_id

),

final as (

    select *
    from compared
    where
        rows_checked_twice > 0
        or rows_rejected_for_nothing > 0
        {%- if var('as_of', none) %}
        -- What was not yet known at the moment asked for is not checked: rows may be fewer, never more.
        or rows_checked > rows_landed
        {%- else %}
        or rows_checked <> rows_landed
        or has_other_row_numbers
        {%- endif %}

)

select * from final
{%- endtest %}

{% test rows_are_conserved(model, bronze) -%}
with landed as (

    select
        file_id,
        any_value(source_file) as source_file,
        any_value(file_version) as file_version,
        count(*) as row_count,
        sum(row_number) as sum_of_row_numbers
    from {{ bronze }}
    group by file_id

),

checked as (

    select
        file_id,
        any_value(source_file) as source_file,
        any_value(file_version) as file_version,
        count(*) as row_count,
        sum(row_number) as sum_of_row_numbers,
        count(*) - count(distinct row_number) as rows_checked_twice,
        count(*) filter (where rule_ids = []) as rows_rejected_for_nothing
    from {{ model }}
    group by file_id

),

compared as (

    select
        file_id,
        coalesce(landed.source_file, checked.source_file) as source_file,
        coalesce(landed.file_version, checked.file_version) as file_version,
        coalesce(landed.row_count, 0) as rows_landed,
        coalesce(checked.row_count, 0) as rows_checked,
        coalesce(checked.rows_checked_twice, 0) as rows_checked_twice,
        coalesce(checked.rows_rejected_for_nothing, 0) as rows_rejected_for_nothing,
        -- Without it, a row that never landed could make good for one that was lost.
        landed.sum_of_row_numbers is distinct from checked.sum_of_row_numbers as has_other_row_numbers
    from landed
    full outer join checked using (file_id)

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

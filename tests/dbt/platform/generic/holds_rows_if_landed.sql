{% test holds_rows_if_landed(model, silver) %}
-- A project may lack a source altogether; where rows were kept, though, an empty table is a fault.
with kept as (

    select count(*) as row_count from {{ silver }}

),

present as (

    select count(*) as row_count from {{ model }}

),

final as (

    select kept.row_count as kept_row_count, present.row_count as present_row_count
    from kept
    cross join present
    where kept.row_count > 0 and present.row_count = 0

)

select * from final
{% endtest %}

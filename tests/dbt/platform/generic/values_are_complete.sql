{% test values_are_complete(model, column_name, tolerated_share) %}
with counted as (

    select
        count(*) as row_count,
        count(*) - count({{ column_name }}) as absent_count
    from {{ model }}

),

final as (

    select
        row_count,
        absent_count,
        absent_count / row_count as absent_share,
        {{ tolerated_share }} as tolerated_share
    from counted
    where absent_count > {{ tolerated_share }} * row_count

)

select * from final
{% endtest %}

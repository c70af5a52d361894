with comparisons as (

    select * from {{ ref('mon_drift__comparisons') }}

),

final as (

    select
        comparison,
        feature_number,
        view_number,
        month_number as period,
        false as is_reference
    from comparisons
    union all
    select
        comparison,
        feature_number,
        view_number,
        unnest(generate_series(from_month, to_month)) as period,
        true as is_reference
    from comparisons
    where reference_number = 0
    union all
    select
        comparison,
        feature_number,
        view_number,
        -reference_number as period,
        true as is_reference
    from comparisons
    where reference_number > 0

)

select * from final

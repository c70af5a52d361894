with states as (

    select * from {{ ref('mon_drift__states') }}

),

features as (

    select * from {{ ref('mon_drift__features') }}

),

numbers as (

    select
        view_number,
        period,
        unnest(numbers) as number_value,
        generate_subscripts(numbers, 1) as place
    from states

),

categories as (

    select
        view_number,
        period,
        unnest(categories) as category,
        generate_subscripts(categories, 1) as place
    from states

),

final as (

    select
        features.feature_number,
        numbers.period,
        numbers.number_value,
        null as category,
        count(*) as occurrences
    from numbers
    inner join features
        on numbers.view_number = features.view_number and numbers.place = features.place and not features.is_category
    where not isnan(numbers.number_value)
    group by features.feature_number, numbers.period, numbers.number_value
    union all
    select
        features.feature_number,
        categories.period,
        null as number_value,
        categories.category,
        count(*) as occurrences
    from categories
    inner join features
        on categories.view_number = features.view_number and categories.place = features.place and features.is_category
    where categories.category is not null
    group by features.feature_number, categories.period, categories.category

)

select * from final

with versions as (

    select * from {{ ref('snp_price_list') }}

),

final as (

    select
        product_id,
        unit_price,
        currency,
        dbt_valid_from as valid_from,
        dbt_valid_to as valid_to,
        dbt_valid_to = {{ assay.end_of_time() }} as is_current
    from versions
    where is_listed

)

select * from final

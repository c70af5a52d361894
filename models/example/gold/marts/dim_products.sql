with changes as (

    select * from {{ ref('slv_products__changes') }}

),

known_changes as (

    {{ assay.standing_changes('changes', 'product_id') }}

),

history as (

    {{ assay.change_history(
        'known_changes',
        entity_keys=['product_id'],
        available_at='available_at',
        columns=['product_name', 'category', 'brand', 'unit_cost', 'is_active', 'introduced_at'],
        is_deleted='is_deleted'
    ) }}

),

final as (

    select
        product_id,
        product_name,
        category,
        brand,
        unit_cost,
        is_active,
        introduced_at,
        valid_from,
        valid_to,
        updated_at,
        valid_to = {{ assay.end_of_time() }} as is_current
    from history

)

select * from final

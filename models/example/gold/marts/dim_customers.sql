with changes as (

    select * from {{ ref('slv_customers__changes') }}

),

known_changes as (

    {{ assay.standing_changes('changes', 'customer_id') }}

),

history as (

    {{ assay.change_history(
        'known_changes',
        entity_keys=['customer_id'],
        available_at='available_at',
        columns=['segment', 'country', 'city', 'is_marketing_allowed', 'registered_at'],
        is_deleted='is_deleted'
    ) }}

),

final as (

    select
        customer_id,
        segment,
        country,
        city,
        is_marketing_allowed,
        registered_at,
        valid_from,
        valid_to,
        updated_at,
        valid_to = {{ assay.end_of_time() }} as is_current
    from history

)

select * from final

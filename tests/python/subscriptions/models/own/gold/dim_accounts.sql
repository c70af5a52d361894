with changes as (

    {{ standing_changes(ref('slv_accounts__changes'), 'account_id') }}

),

final as (

    {{ change_history(
        'changes',
        entity_keys=['account_id'],
        available_at='available_at',
        columns=['tier', 'seat_limit'],
        is_deleted='is_deleted'
    ) }}

)

select * exclude (confirmed_at) from final

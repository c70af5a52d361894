{{ effective_changes(ref('slv_accounts__checked'), 'account_id', {'tier': 'tier', 'seat_limit': 'seat_limit'}) }}

select
    session_id,
    account_id,
    device,
    minutes,
    event_at as began_at,
    available_at
from {{ ref('slv_sessions') }}

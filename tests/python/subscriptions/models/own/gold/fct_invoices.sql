select
    invoice_id,
    account_id,
    seats,
    total,
    event_at as issued_at,
    available_at
from {{ ref('slv_invoices') }}

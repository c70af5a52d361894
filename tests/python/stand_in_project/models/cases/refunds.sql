select *
from (
    values
    (1, 'a', 'x'),
    (2, 'a', 'y'),
    (3, 'b', 'x'),
    (4, 'b', 'x'),
    (5, 'c', 'z')
) as refunds (refund_id, payer_id, "group")

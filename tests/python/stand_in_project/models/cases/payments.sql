select *
from (
    values
    (1, 'a', 10, 5, 'EUR', 'ab1'),
    (2, 'a', 20, 20, 'EUR', 'AB22'),
    (3, 'b', 30, 40, 'USD', 'zz333'),
    (4, 'b', null, 1, null, null),
    (4, null, null, null, null, null)
) as payments (payment_id, customer_id, amount, fee, currency, reference)

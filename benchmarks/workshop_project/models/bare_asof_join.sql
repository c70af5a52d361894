select
    questions.*,
    transactions.amount
from {{ source('cards', 'questions') }} as questions
asof left join {{ source('cards', 'transactions') }} as transactions
    on questions.card_id = transactions.card_id and questions.asked_at >= transactions.available_at

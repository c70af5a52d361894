select
    questions.*,
    {% for total in ('transaction_count', 'amount_sum') -%}
    {% for window in ('1h', '24h', '7d') -%}
    case when questions.asked_at < velocity.valid_to then velocity.{{ total }}_{{ window }} end as {{ total }}_{{ window }},
    {% endfor -%}
    {% endfor -%}
    velocity.valid_from
from {{ source('cards', 'questions') }} as questions
asof left join {{ ref('velocity') }} as velocity
    on questions.card_id = velocity.card_id and questions.asked_at >= velocity.valid_from

{% for name in trainable(names_read('training_sets')) %}
select
    {{ loop.index }} as reference_number,
    '{{ name }}' as reference,
    {{ as_utc('min(prediction_at)') }} as starts_at,
    {{ as_utc('max(prediction_at)') }} as ends_at
from {{ ref(name) }}
where {{ assay._is_trained_on(assay._node_named(name)) }}
{{ 'union all' if not loop.last }}
{% else %}
{{ no_rows() }}
{% endfor %}

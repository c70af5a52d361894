{% for name in trainable(names_read('training_sets')) %}
{% set node = assay._node_named(name) %}
{% set is_trained_on = assay._is_trained_on(node) %}
{% set is_known_later = assay._is_time(assay._types_as_built(node).get('outcome_known_at')) %}
{% set declared = assay._retrain_when(name).trained_until %}
{% set trained_until -%}
{% if declared %}timestamp '{{ declared }}'{% else %}(select {{ as_utc('max(prediction_at)') }} from {{ ref(name) }} where {{ is_trained_on }}){% endif %}
{%- endset %}
select
    '{{ name }}' as training_set,
    '{{ "declared" if declared else "training rows" }}' as counted_from,
    {{ trained_until }} as trained_until,
    count(*) filter (where {{ is_trained_on }}) as trained_rows,
    count(*) filter (
        where {{ as_utc('outcome_known_at' if is_known_later else 'prediction_at') }} > {{ trained_until }}
    ) as new_rows
from {{ ref(name) }}
{{ 'union all' if not loop.last }}
{% else %}
{{ no_rows() }}
{% endfor %}

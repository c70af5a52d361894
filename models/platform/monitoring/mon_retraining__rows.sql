{% for name in names_read('training_sets') %}
{% set known_at = as_utc('outcome_known_at' if 'outcome_known_at' in assay._node_named(name).columns else 'prediction_at') %}
{% set declared = assay._retrain_when(name).trained_until %}
{% set trained_until -%}
{% if declared %}timestamp '{{ declared }}'{% else %}(select {{ as_utc('max(prediction_at)') }} from {{ ref(name) }} where split = 'train'){% endif %}
{%- endset %}
select
    '{{ name }}' as training_set,
    '{{ "declared" if declared else "training rows" }}' as counted_from,
    {{ trained_until }} as trained_until,
    count(*) filter (where split = 'train') as trained_rows,
    count(*) filter (where {{ known_at }} > {{ trained_until }}) as new_rows
from {{ ref(name) }}
{{ 'union all' if not loop.last }}
{% else %}
{{ no_rows() }}
{% endfor %}

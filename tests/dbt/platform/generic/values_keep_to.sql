{% test values_keep_to(model, column_name, rule) %}
select *
from {{ model }}
where {{ assay.breaks_rule(rule, {'holds': 'typed', 'sql': column_name}, rule.get('path', [])) }}
{% endtest %}

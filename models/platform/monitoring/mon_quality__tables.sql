{% set nodes, names = {}, {} %}
{% for name in names_read('monitored') %}
{% set node = assay._node_named(name) %}
{% do nodes.update({name: node}) %}
{% do names.update({node.unique_id: name}) %}
{% endfor %}
{% for name, node in nodes.items() %}
select
    '{{ name }}' as table_name,
    {{ assay._is_of_features(node) | lower }} as is_of_features,
    {{ assay._names_upstream(node, names) }}::varchar[] as upstream_names,
    {% set because = assay._not_measured_because(node) %}
    {{ assay._text(because) if because else 'null' }}::varchar as left_out_because,
    {% set because = assay._not_used_because(node) %}
    {{ assay._text(because) if because else 'null' }}::varchar as not_used_because,
    {{ assay._untyped_features(node) }}::varchar[] as untyped_features
{{ 'union all' if not loop.last }}
{% else %}
{{ no_rows() }}
{% endfor %}

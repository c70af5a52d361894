{% macro measurable(models) -%}
    {%- set found = [] -%}
    {%- for name in models if not assay._not_measured_because(assay._node_named(name)) -%}
        {%- do found.append(name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- Why a table cannot be watched, and how it can be; nothing where it can. -#}
{% macro _not_measured_because(node) -%}
    {%- if not node.columns -%}
        {{ return(node.name ~ ' has no columns in its YAML, so that nothing can be counted: list them, with their data_type') }}
    {%- endif -%}
    {%- if not assay._time_of(node, assay._types_of(node)) -%}
        {{ return(node.name ~ ' has no column that tells the time of its rows: name one of its columns as config.meta.quality.time in its YAML') }}
    {%- endif -%}
    {{ return('') }}
{%- endmacro %}


{#- Why what watches models makes nothing of a training set or a label; nothing of other tables. -#}
{% macro _not_used_because(node) -%}
    {%- set because = [] -%}
    {%- if assay._is_of_kind(node, 'training_sets') -%}
        {%- do because.append(assay._not_trained_because(node)) -%}
    {%- endif -%}
    {%- if assay._is_of_kind(node, 'labels') -%}
        {%- do because.append(assay._not_judging_because(node)) -%}
    {%- endif -%}
    {{ return(because | select | join('; ')) }}
{%- endmacro %}


{#- When rows happened: declared, or the first of the customary columns, or the first time there is. -#}
{% macro _time_of(node, types) -%}
    {%- set declared = (node.config.meta.quality or {}).time -%}
    {%- set times = ['landed_at'] if 'rule_ids' in types else ['event_at', 'valid_from', 'prediction_at'] -%}
    {%- for column, type in types.items() if type in ['timestamp', 'date'] and column not in assay._not_measured() -%}
        {%- do times.append(column) -%}
    {%- endfor -%}
    {{ return(([declared] if declared else times + ['available_at']) | select('in', types) | first | default('', true)) }}
{%- endmacro %}


{% macro _types_of(node) -%}
    {%- set types = {} -%}
    {%- for column in node.columns.values() -%}
        {%- do types.update({column.name: (column.data_type or '') | lower}) -%}
    {%- endfor -%}
    {{ return(types) }}
{%- endmacro %}


{#- Features that mon_feature_drift leaves out, for it cannot tell numbers from categories. -#}
{% macro _untyped_features(node) -%}
    {%- set found = [] -%}
    {%- for column in node.columns.values() if node.config.meta.feature_view and not column.data_type -%}
        {%- do found.append(assay._text(column.name)) -%}
    {%- endfor -%}
    {{ return('[' ~ found | join(', ') ~ ']') }}
{%- endmacro %}

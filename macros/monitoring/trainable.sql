{% macro trainable(training_sets) -%}
    {%- set found = [] -%}
    {%- for name in training_sets if not assay._not_trained_because(assay._node_named(name)) -%}
        {%- do found.append(name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- Why a training set cannot be watched, and how it can be; nothing where it can. -#}
{% macro _not_trained_because(node) -%}
    {%- set types = assay._types_as_built(node) -%}
    {%- set left_out = ', so that mon_retraining and mon_feature_drift leave it out: ' -%}
    {%- if not assay._is_time(types.get('prediction_at')) -%}
        {{ return(node.name ~ ' has no column prediction_at with a time' ~ left_out ~ 'add it, with the instant at which each row is predicted') }}
    {%- elif not assay._is_text(types.get('split', 'varchar')) -%}
        {{ return(node.name ~ ' has a column split that is no text' ~ left_out ~ 'write train into it for the rows that are trained on') }}
    {%- endif -%}
    {{ return('') }}
{%- endmacro %}


{#- Which rows of a training set are trained on: all, where it has no splits. -#}
{% macro _is_trained_on(node) -%}
    {{ return("split = 'train'" if 'split' in assay._types_as_built(node) else 'true') }}
{%- endmacro %}


{#- The types of a table's columns by their folded names, as it was built; before that, as its YAML says. -#}
{% macro _types_as_built(node) -%}
    {%- set types = {} -%}
    {%- for name, type in assay._types_of(node).items() -%}
        {%- do types.update({assay._folded(name): type}) -%}
    {%- endfor -%}
    {%- set built = adapter.get_relation(node.database, node.schema, node.alias) -%}
    {%- for column in (adapter.get_columns_in_relation(built) if built else []) -%}
        {%- do types.update({assay._folded(column.name): column.data_type | lower}) -%}
    {%- endfor -%}
    {{ return(types) }}
{%- endmacro %}


{#- A column whose type is not known yet may be a time. -#}
{% macro _is_time(type) -%}
    {{ return(type is not none and (type == '' or type.startswith('timestamp') or type == 'date')) }}
{%- endmacro %}


{% macro _is_text(type) -%}
    {{ return(type == '' or type.startswith(('varchar', 'text', 'string', 'char', 'enum'))) }}
{%- endmacro %}

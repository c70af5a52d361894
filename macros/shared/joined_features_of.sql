{% macro joined_features_of(node) -%}
    {{ return(node.config.meta.joined_features or []) }}
{%- endmacro %}

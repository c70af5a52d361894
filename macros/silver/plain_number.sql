{% macro plain_number(text, decimal=none, thousands=none) -%}
    {%- set dialect = {'decimal': decimal, 'thousands': thousands} if decimal or thousands
        else assay._as_landed_by('dialect') or {} -%}
    {%- set decimal = dialect.decimal or '.' -%}
    {%- set thousands = dialect.thousands or '' -%}
    {%- if decimal == '.' and not thousands -%}
        {{ text }}
    {%- else -%}
        {#- People type several blanks and apostrophes for one. -#}
        {%- set parts = {' ': ' \u00a0\u202f', "'": "'\u2019"}.get(thousands, thousands) -%}
        {%- set whole = '(?:[0-9]+|[1-9][0-9]{0,2}(?:[' ~ parts ~ '][0-9]{3})+)' if parts else '[0-9]+' -%}
        {%- set digits = '(?:' ~ whole ~ '(?:[' ~ decimal ~ '][0-9]*)?|[' ~ decimal ~ '][0-9]+)' -%}
        case
            when regexp_full_match({{ text }}, {{ assay._text('\\s*[+-]?' ~ digits ~ '(?:[eE][+-]?[0-9]+)?\\s*') }})
                then replace(translate({{ text }}, {{ assay._text(parts) }}, ''), '{{ decimal }}', '.')
            when {{ text }} is not null then ''
        end
    {%- endif -%}
{%- endmacro %}


{#- What the landing table whose bronze the model reads declares of its texts: its dialect, or the format of a column's
    times. None of models that read something else. -#}
{% macro _as_landed_by(setting, column=none) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for parent in model.depends_on.nodes if parent in graph.nodes -%}
            {%- for unique_id in graph.nodes[parent].depends_on.nodes if unique_id in graph.sources -%}
                {%- set landing = graph.sources[unique_id].config.meta.get('landing') -%}
                {%- set declared = (landing or {}).get(setting) or {} -%}
                {%- if landing and (column is none or column in declared or column in (landing.types or {})) -%}
                    {%- do found.append(declared.get(column) if column else {'decimal': declared.decimal, 'thousands': declared.thousands}) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for each in found if each != found[0] -%}
        {%- do assay._refuse('it reads sources that write ' ~ (column or 'numbers') ~ ' in several ways; say which to '
            ~ ('utc_timestamp, as formats' if column else 'strict_number, as decimal and thousands')) -%}
    {%- endfor -%}
    {{ return(found[0] if found else none) }}
{%- endmacro %}

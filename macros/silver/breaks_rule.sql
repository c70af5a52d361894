{#- What an array holds is judged item by item, at any depth. -#}
{% macro breaks_rule(rule, root, path, depth=1) -%}
    {%- set array = namespace(at=none) -%}
    {%- for step in path if step is not string and array.at is none -%}{%- set array.at = path.index(step) -%}{%- endfor -%}
    {%- if array.at is none -%}
        {{ assay._breaks(rule, root, path) }}
    {%- else -%}
        {%- set items = assay._value_at(root, path[:array.at]) -%}
        {%- set item = {'holds': 'typed' if root.holds == 'typed' else 'json', 'sql': 'item' ~ depth} -%}
        len(list_filter(
            {{ items if root.holds == 'typed' else "json_extract(" ~ items ~ ", '$[*]')" }},
            lambda item{{ depth }}: {{ assay.breaks_rule(rule, item, path[array.at + 1:], depth + 1) }}
        )) > 0
    {%- endif -%}
{%- endmacro %}


{#- Whether a value breaks a rule. An absent value breaks only `required`; a value that is not of its type breaks only
    the rule about types. -#}
{% macro _breaks(rule, root, path) -%}
    {%- set text = assay._text_at(root, path) -%}
    {%- if 'decimal' in rule -%}
        {%- set text = '(' ~ assay.plain_number(text, rule.decimal, rule.get('thousands')) ~ ')' -%}
    {%- endif -%}
    {%- set whole = assay._value_at(root, path) -%}
    {%- set limits = [] -%}
    {%- if rule.kind == 'required' -%}
        ({{ text }} is null
        {%- for word in rule.get('besides', []) %} or {{ text }} = {{ assay._text(word) }}{% endfor %})
        {%- if path and (path | length > 1 or root.holds != 'line') %}
        and {{ assay._is_object(root, path[:-1]) }}
        {%- endif -%}
    {%- elif rule.kind == 'type' and rule.type in ['object', 'array'] -%}
        {{ root.text | default(text) if not path else text }} is not null and coalesce(json_type({{ whole }}), '') <> '{{ rule.type | upper }}'
    {%- elif rule.kind == 'type' -%}
        {{ text }} is not null and {{ assay._as_type(rule.type, text, rule.get('format')) }} is null
    {%- elif rule.kind == 'values' and rule.get('type', 'string') == 'string' -%}
        {{ text }} not in ({% for word in rule['values'] %}{{ assay._text(word) }}{{ ', ' if not loop.last }}{% endfor %})
    {%- elif rule.kind == 'values' -%}
        {{ text }} is not null and not ({% for word in rule['values'] %}coalesce({{ assay._compared(rule, text, '=', word) }}, false){{ ' or ' if not loop.last }}{% endfor %})
    {%- elif rule.kind == 'pattern' -%}
        not regexp_matches({{ text }}, {{ assay._text(rule.pattern) }})
    {%- elif rule.kind == 'length' -%}
        {{ assay._outside('length(' ~ text ~ ')', rule) }}
    {%- elif rule.kind == 'bounds' -%}
        {%- for bound, breaks in {'minimum': '<', 'exclusiveMinimum': '<=', 'maximum': '>', 'exclusiveMaximum': '>='}.items() if bound in rule -%}
            {%- do limits.append(assay._compared(rule, text, breaks, rule[bound])) -%}
        {%- endfor -%}
        ({{ limits | join(' or ') }})
    {%- elif rule.kind == 'multiple' -%}
        {{ assay._is_no_multiple(text, assay._text(rule.of)) }}
    {%- elif rule.kind == 'items' -%}
        {%- if root.holds == 'typed' -%}
            {{ assay._outside('len(' ~ whole ~ ')', rule) }}
        {%- else -%}
            json_type({{ whole }}) = 'ARRAY' and {{ assay._outside('json_array_length(' ~ whole ~ ')', rule) }}
        {%- endif -%}
    {%- elif rule.kind == 'distinct' and root.holds == 'typed' -%}
        len({{ whole }}) > (len(list_filter({{ whole }}, lambda item: item is null)) > 0)::bigint
            {#- DuckDB compares JSON as text. -#}
            + case
                when typeof({{ whole }}) = 'JSON[]'
                    then len(list_distinct(list_transform({{ whole }}, lambda item: {{ assay.comparable_json('item::json::varchar') }})))
                else len(list_distinct({{ whole }}))
            end
    {%- elif rule.kind == 'distinct' -%}
        {%- set items = "json_extract(" ~ whole ~ ", '$[*]')" -%}
        {%- set told = assay.comparable_json('item::varchar') -%}
        {%- if rule.type in ['number', 'integer'] -%}
            {#- Those with many digits are texts. -#}
            {%- set told = "coalesce(" ~ assay.comparable_number("json_extract_string(item, '$')") ~ "::varchar, item::varchar)" -%}
        {%- endif -%}
        len({{ items }}) > len(list_distinct(list_transform({{ items }}, lambda item: {{ told }})))
    {%- elif rule.kind == 'properties' -%}
        json_type({{ whole }}) = 'OBJECT' and {{ assay._outside('len(json_keys(' ~ whole ~ '))', rule) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error('The contract rule ' ~ rule.rule_id ~ ' is of unknown kind ' ~ rule.kind ~ ': run assay contracts sync.') }}
    {%- endif -%}
{%- endmacro %}


{#- A value as it is: JSON of a document, or of the type of its column. A Debezium connector may have put the document
    under `payload`, and a tool all of that under `value`, beside the message's key. -#}
{% macro _value_at(root, path, extract='json_extract') -%}
    {%- set pointer = [] -%}
    {%- for key in path -%}
        {%- do pointer.append('/' ~ key | replace('~', '~0') | replace('/', '~1')) -%}
    {%- endfor -%}
    {%- set pointer = pointer | join('') -%}
    {%- if root.holds == 'line' -%}
        {%- set places = ['', '/payload'] + (['/value', '/value/payload'] if path and path[0] in ['op', 'before', 'after', 'source', 'ts_ms'] else []) -%}
        (case when json_valid(line) then coalesce(
            {%- for place in places %}{{ extract }}(line, {{ assay._text(place ~ pointer) }}){{ ', ' if not loop.last }}{% endfor -%}
        ) end)
    {%- elif root.holds == 'typed' -%}
        {{ root.sql }}{% for key in path %}.{{ assay.quoted(key) }}{% endfor %}
    {%- elif root.holds == 'text' or (not path and extract == 'json_extract') -%}
        {{ root.sql }}
    {%- else -%}
        {{ extract }}({{ root.sql }}, {{ assay._text(pointer or '$') }})
    {%- endif -%}
{%- endmacro %}


{#- A value as text, without the blanks around it; an empty text is none. -#}
{% macro _text_at(root, path) -%}
    {%- if root.holds == 'typed' -%}
        {{ assay._value_at(root, path) }}::varchar
    {%- elif root.holds == 'text' -%}
        {{ root.sql }}
    {%- else -%}
        nullif(trim({{ assay._value_at(root, path, 'json_extract_string') }}), '')
    {%- endif -%}
{%- endmacro %}


{% macro _is_object(root, path) -%}
    {%- set whole = assay._value_at(root, path) -%}
    {%- if root.holds == 'typed' -%}
        {{ whole }} is not null
    {%- else -%}
        coalesce(json_type({{ whole }}), '') = 'OBJECT'
    {%- endif -%}
{%- endmacro %}


{% macro _compared(rule, text, operator, constant) -%}
    {%- set constant = assay._text(constant) -%}
    {%- if rule.type in ['integer', 'number'] -%}
        {#- Doubles would tell neither cents of great sums apart nor digits after the 17th; casts to wide decimals are slow. -#}
        {{ assay.comparable_number(text) }} {{ operator }} {{ assay.comparable_number(constant) }}
    {%- else -%}
        {{ assay._as_type(rule.type, text, rule.get('format')) }} {{ operator }} {{ constant }}::{{ rule.type }}
    {%- endif -%}
{%- endmacro %}


{% macro _outside(number, rule) -%}
    {{ number }} not between {{ rule.get('least', 0) }} and {{ rule.get('most', number) }}
{%- endmacro %}


{% macro _as_type(type, value, format=none) -%}
    {%- if type == 'integer' -%}
        {{ assay.strict_number(value, 'decimal(38, 0)', decimal='.') }}
    {%- elif type == 'number' -%}
        {#- NaN and infinity are none. -#}
        case when isfinite(try_cast({{ value }} as double)) then try_cast({{ value }} as double) end
    {%- elif type == 'date' and format -%}
        coalesce({{ assay._utc_by_format(value, format) }}::date, case when regexp_matches({{ value }}, '^[0-9]{4}-') then try_cast({{ value }} as date) end)
    {%- elif type in ['boolean', 'date', 'time'] -%}
        try_cast({{ value }} as {{ type }})
    {%- else -%}
        {{ assay.utc_timestamp(value, [format] if format else []) }}
    {%- endif -%}
{%- endmacro %}

{% macro contract_rules(bronze) -%}
    {%- set found = namespace(rules=[]) -%}
    {%- if execute -%}
        {%- for node in graph.get('nodes', {}).values()
            if node.resource_type == 'model' and node.alias == bronze.identifier and node.schema == bronze.schema -%}
            {%- for unique_id in node.depends_on.nodes if unique_id in graph.get('sources', {}) -%}
                {%- set found.rules = found.rules + graph.sources[unique_id].config.meta.get('contract_rules', []) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if found.rules -%}
        [
            {%- for rule in found.rules %}
            case when {{ assay._breaks(rule, assay._landed_value(rule.field)) }} then '{{ rule.rule_id }}' end
            {{- ',' if not loop.last }}
            {%- endfor %}
        ]
    {%- else -%}
        null::varchar[]
    {%- endif -%}
{%- endmacro %}


{#- The text of a field: a column of a CSV file, or a path into a JSON document, which a Debezium connector may have
    put under `payload`. -#}
{% macro _landed_value(field) -%}
    {%- if field is string -%}
        {{ assay.filled('"' ~ field ~ '"') }}
    {%- else -%}
        {%- set path = [] -%}
        {%- for key in field -%}
            {%- do path.append('."' ~ (key | replace("'", "''")) ~ '"') -%}
        {%- endfor -%}
        {%- set path = path | join('') -%}
        (case when json_valid(line) then nullif(trim(coalesce(
            json_extract_string(line, '${{ path }}'), json_extract_string(line, '$."payload"{{ path }}')
        )), '') end)
    {%- endif -%}
{%- endmacro %}


{#- Whether a text breaks a rule; but for `required`, what is absent breaks none. -#}
{% macro _breaks(rule, value) -%}
    {%- if rule.kind == 'required' -%}
        {{ value }} is null
    {%- elif rule.kind == 'type' -%}
        {{ value }} is not null and {{ assay._as_type(rule.type, value) }} is null
    {%- elif rule.kind == 'values' -%}
        {%- set values = [] -%}
        {%- for each in rule['values'] -%}
            {%- do values.append("'" ~ (each | string | replace("'", "''")) ~ "'") -%}
        {%- endfor -%}
        {{ value }} not in ({{ values | join(', ') }})
    {%- elif rule.kind == 'pattern' -%}
        not regexp_matches({{ value }}, '{{ rule.pattern | replace("'", "''") }}')
    {%- elif rule.kind == 'length' -%}
        length({{ value }}) not between {{ rule.get('least', 0) }} and {{ rule.get('most', 'length(' ~ value ~ ')') }}
    {%- elif rule.kind == 'range' -%}
        {%- set number = 'try_cast(' ~ value ~ ' as double)' -%}
        {%- set limits = [] -%}
        {%- if 'least' in rule -%}{%- do limits.append(number ~ (' <= ' if rule.strictly else ' < ') ~ rule.least) -%}{%- endif -%}
        {%- if 'most' in rule -%}{%- do limits.append(number ~ (' >= ' if rule.strictly else ' > ') ~ rule.most) -%}{%- endif -%}
        ({{ limits | join(' or ') }})
    {%- else -%}
        {{ exceptions.raise_compiler_error('The contract rule ' ~ rule.rule_id ~ ' is of unknown kind ' ~ rule.kind ~ '.') }}
    {%- endif -%}
{%- endmacro %}


{% macro _as_type(type, value) -%}
    {%- if type == 'integer' -%}
        {{ assay.strict_number(value, 'decimal(38, 0)') }}
    {%- elif type == 'number' -%}
        try_cast({{ value }} as double)
    {%- elif type == 'boolean' -%}
        try_cast({{ value }} as boolean)
    {%- elif type == 'date' -%}
        try_cast({{ value }} as date)
    {%- else -%}
        {{ assay.utc_timestamp(value) }}
    {%- endif -%}
{%- endmacro %}

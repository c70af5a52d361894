{#- Used by macros of many folders, and by them alone. -#}
{% macro _refuse(fault) -%}
    {%- do exceptions.raise_compiler_error(model.name ~ ': ' ~ fault ~ '.') -%}
{%- endmacro %}


{#- Earlier versions read the variable. A project that still sets it must be told, since it has no effect now. -#}
{% macro _refuse_variable(name, instead) -%}
    {%- if execute and var(name, none) -%}
        {%- do assay._refuse(
            'the variable ' ~ name ~ ' is read no longer; take it out of dbt_project.yml, and write ' ~ instead ~ '. It says '
            ~ tojson(var(name))
        ) -%}
    {%- endif -%}
{%- endmacro %}


{#- An expression; of one word it is the name of a column, even where SQL has another use for the word. -#}
{% macro _sql(expression) -%}
    {%- set no_names = [
        'true', 'false', 'null', 'current_date', 'current_time', 'current_timestamp', 'localtime', 'localtimestamp',
    ] -%}
    {%- set is_name = modules.re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', expression) and expression | lower not in no_names -%}
    {{ return(assay.quoted(expression) if is_name else expression) }}
{%- endmacro %}


{% macro _text(value) -%}
    {{ return("'" ~ value | string | replace("'", "''") ~ "'") }}
{%- endmacro %}


{#- Names are the same if these are: DuckDB compares them without the case of A to Z, and of no other letter. -#}
{% macro _folded(name) -%}
    {{ return(name.translate(name.maketrans('ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'))) }}
{%- endmacro %}


{#- `names` are pairs of a name and words for what it names. -#}
{% macro _refuse_doubles(names) -%}
    {%- set taken = {} -%}
    {%- for name, what in names -%}
        {%- set folded = assay._folded(name) -%}
        {%- if folded in taken -%}
            {%- set other, of_other = taken[folded] -%}
            {%- do assay._refuse('two columns would be called ' ~ name ~ ': the ' ~ of_other ~ (' (' ~ other ~ ')' if other != name else '')
                ~ ', and the ' ~ what ~ '; rename one of them') -%}
        {%- endif -%}
        {%- do taken.update({folded: (name, what)}) -%}
    {%- endfor -%}
{%- endmacro %}


{#- Which of the names an expression mentions, in quotes or without; assay/core/sql.py has the same for Python. -#}
{% macro _mentioned(names, expression) -%}
    {%- set words = [] -%}
    {%- for quoted, word in modules.re.findall("'(?:[^']|'')*'|\"((?:[^\"]|\"\")*)\"|(\\w+)", expression) -%}
        {%- do words.append(assay._folded(quoted | replace('""', '"') or word)) -%}
    {%- endfor -%}
    {%- set found = [] -%}
    {%- for name in names if assay._folded(name) in words -%}
        {%- do found.append(name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- Continues a join's condition; the keys are names. -#}
{% macro _same_entity(entity_keys, left, right) -%}
    {%- for key in entity_keys %} and {{ assay.quoted(key, left) }} = {{ assay.quoted(key, right) }}{% endfor -%}
{%- endmacro %}


{#- The model of a name; the calling package's own before others. -#}
{% macro _node_named(name) -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() if node.name == name and node.resource_type in ['model', 'snapshot', 'seed'] -%}
        {%- do found.insert(0 if node.package_name == model.package_name else found | length, node) -%}
    {%- endfor -%}
    {{ return(found[0]) }}
{%- endmacro %}


{#- The source of a name such as `shop.events`; the calling package's own before others. -#}
{% macro _source_named(name) -%}
    {%- set found = [] -%}
    {%- for source in graph.sources.values() if source.source_name ~ '.' ~ source.name == name -%}
        {%- do found.insert(0 if source.package_name == model.package_name else found | length, source) -%}
    {%- endfor -%}
    {{ return(found[0]) }}
{%- endmacro %}


{#- The ids of all that a model is made of. -#}
{% macro _upstream_of(node) -%}
    {%- set found = node.depends_on.nodes | list -%}
    {#- A list that grows while it is walked. -#}
    {%- for unique_id in found if unique_id in graph.nodes -%}
        {%- for parent in graph.nodes[unique_id].depends_on.nodes if parent not in found -%}
            {%- do found.append(parent) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- As assay/project/conventions.py says it of each kind. -#}
{% macro _is_of_kind(node, kind) -%}
    {{ return(kind in ((node.config.meta.assay or {}).kinds or [])) }}
{%- endmacro %}


{#- A limit as SQL; without a limit NULL, which no comparison breaks. -#}
{% macro _limit(limit) -%}
    {{ 'null' if limit is none or limit is undefined else limit }}::double
{%- endmacro %}

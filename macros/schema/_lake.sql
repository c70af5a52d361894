{#- What a lake does not do by itself: it keeps no keys and no checks of a contract, and changes some types. Both are looked for
    in the transaction that writes the table, which is rolled back if they are broken, as it is in a warehouse of one file. -#}

{#- Takes keys and checks out of what a table of a lake is declared with, and returns them. -#}
{% macro _take_promises(target) -%}
    {%- set promises = [] -%}
    {%- if adapter.is_ducklake(target) and config.get('contract').enforced -%}
        {%- do promises.extend(assay._take_types()) -%}
        {%- set declared = [] -%}
        {%- for each in model.constraints -%}
            {%- do (promises if each.type in assay._not_of_lakes() else declared).append(each) -%}
        {%- endfor -%}
        {%- do model.update({'constraints': declared}) -%}
        {%- for column in model.columns.values() -%}
            {%- set declared = [] -%}
            {%- for each in column.constraints -%}
                {%- if each.type in assay._not_of_lakes() -%}
                    {%- do promises.append(dict(each, columns=[column.name])) -%}
                {%- else -%}
                    {%- do declared.append(each) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- do column.update({'constraints': declared}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(promises) }}
{%- endmacro %}


{#- What a lake has no type for is kept in another one, which holds the same values. DuckDB says which type a declaration names. -#}
{% macro _take_types() -%}
    {%- set promises, declared = [], model.columns.values() | selectattr('data_type') | list -%}
    {%- set nulls = [] -%}
    {%- for column in declared -%}
        {%- do nulls.append('null::' ~ column.data_type ~ ' as ' ~ assay.quoted(column.name)) -%}
    {%- endfor -%}
    {%- set found = run_query('describe select ' ~ nulls | join(', ')).rows if nulls else [] -%}
    {%- for column in declared -%}
        {%- set data_type = found[loop.index0]['column_type'] -%}
        {%- set kept = assay._in_lake(data_type) -%}
        {%- do assay._refuse_type(column.name, kept) -%}
        {%- if kept != data_type -%}
            {%- do promises.append({'type': 'kept_as', 'column': column.name, 'data_type': column.data_type, 'kept': kept}) -%}
            {%- do column.update({'data_type': kept}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(promises) }}
{%- endmacro %}


{#- The type in which a lake keeps the values of another: lists for vectors of one length, and decimals for the sums of whole
    numbers. What stands in double quotes is a name. -#}
{% macro _in_lake(data_type) -%}
    {%- set lists = modules.re.sub('\\[\\d+\\]' ~ assay._no_name(), '[]', data_type) -%}
    {{ return(modules.re.sub('(?i)\\bhugeint\\b' ~ assay._no_name(), 'DECIMAL(38, 0)', lists)) }}
{%- endmacro %}


{#- SQL of the rows of a model as a table of a lake takes them. -#}
{% macro _rows_for(target, sql, promises) -%}
    {%- set is_declared = promises | selectattr('type', 'equalto', 'kept_as') | list -%}
    {%- if not adapter.is_ducklake(target) or (config.get('contract').enforced and not is_declared) -%}
        {{ return(sql) }}
    {%- endif -%}
    {%- set casts = [] -%}
    {%- for column in run_query('describe ' ~ sql).rows -%}
        {%- set name, kept = assay.quoted(column['column_name']), assay._in_lake(column['column_type']) -%}
        {%- do assay._refuse_type(column['column_name'], kept) -%}
        {%- if kept != column['column_type'] -%}
            {%- do casts.append(name ~ '::' ~ kept ~ ' as ' ~ name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return('select * replace (' ~ casts | join(', ') ~ ') from (\n' ~ sql ~ '\n) as computed' if casts else sql) }}
{%- endmacro %}


{% macro _not_of_lakes() -%}
    {{ return(['primary_key', 'unique', 'check']) }}
{%- endmacro %}


{#- Fails where a table of a lake breaks one of them, or has a column that the lake would give back as another value. -#}
{% macro _keep_promises(target, promises) -%}
    {%- if adapter.is_ducklake(target) -%}
        {%- do assay._refuse_changed_types(target) -%}
    {%- endif -%}
    {%- for promise in promises -%}
        {%- if promise.type == 'check' -%}
            {%- do assay._refuse_rows('select 1 from ' ~ target ~ ' where not (' ~ promise.expression ~ ')',
                'break the check ' ~ promise.expression) -%}
        {%- elif promise.type == 'kept_as' -%}
            {%- set column = assay.quoted(promise.column) -%}
            {#- A decimal holds each sum; a list may be of any length. -#}
            {%- if '[' in promise.data_type -%}
                {%- do assay._refuse_rows('select 1 from ' ~ target ~ ' where try_cast(' ~ column ~ ' as ' ~ promise.data_type ~ ')::'
                    ~ promise.kept ~ ' is distinct from ' ~ column,
                    'of ' ~ promise.column ~ ' are not of the length of ' ~ promise.data_type) -%}
            {%- endif -%}
        {%- else -%}
            {%- set keys, unknown = assay.quoted(promise.columns), [] -%}
            {%- for column in promise.columns -%}
                {%- do unknown.append(assay.quoted(column) ~ ' is null') -%}
            {%- endfor -%}
            {%- set unknown = unknown | join(' or ') -%}
            {%- do assay._refuse_rows('select 1 from ' ~ target ~ ' where not (' ~ unknown ~ ') group by ' ~ keys ~ ' having count(*) > 1',
                'of ' ~ promise.columns | join(', ') ~ ' stand in more than one row') -%}
            {%- if promise.type == 'primary_key' -%}
                {%- do assay._refuse_rows('select 1 from ' ~ target ~ ' where ' ~ unknown,
                    'of ' ~ promise.columns | join(', ') ~ ' are NULL') -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{% macro _refuse_rows(broken, claim) -%}
    {%- set number = run_query('select count(*) from (' ~ broken ~ ')').rows[0][0] -%}
    {%- if number -%}
        {%- do assay._refuse('its contract is broken: ' ~ number ~ ' value' ~ ('s ' if number > 1 else ' ') ~ claim) -%}
    {%- endif -%}
{%- endmacro %}


{#- One table is described, since DuckDB's list of columns reads the whole catalog of a lake. -#}
{% macro _refuse_changed_types(target) -%}
    {%- for column in run_query('describe ' ~ target).rows -%}
        {%- do assay._refuse_type(column['column_name'], column['column_type']) -%}
    {%- endfor -%}
{%- endmacro %}


{#- Fails where a lake cannot keep a type. Parquet has no HUGEINT, and keeps of an INTERVAL the milliseconds and of a time its instant
    alone. DuckLake has no other of them; who writes a TIME_NS all the same ends DuckDB's process. -#}
{% macro _refuse_type(name, data_type) -%}
    {%- set lacking = '\\b(U?HUGEINT|INTERVAL|TIME WITH TIME ZONE|TIME_NS|ENUM|BIT|UNION|BIGNUM)(?=[][(),]|$)' -%}
    {%- set found = modules.re.search(lacking ~ assay._no_name(), data_type) -%}
    {%- if found -%}
        {%- do assay._refuse('its column ' ~ name ~ ' is ' ~ data_type ~ ', which a lake '
            ~ ('has no type for' if found[1] in ['TIME_NS', 'ENUM', 'BIT', 'UNION', 'BIGNUM'] else 'would change')
            ~ ': cast it to another type, such as varchar, bigint or decimal(38, 0)') -%}
    {%- endif -%}
{%- endmacro %}


{#- A pattern that holds where what was found is no part of a name in double quotes. -#}
{% macro _no_name() -%}
    {{ return('(?=(?:[^"]*"[^"]*")*[^"]*$)') }}
{%- endmacro %}


{#- SQL of a view as a lake keeps it. DuckLake keeps the text that DuckDB writes of a query, in which `1e-3` is `0.001`, and `1.` is `1`:
    read again, these are of another type. What stands in quotes or in a comment is no number. -#}
{% macro _view_of_lake(target, sql) -%}
    {%- if not adapter.is_ducklake(target) -%}
        {{ return(sql) }}
    {%- endif -%}
    {%- set no_number = "(?<!\\w)[eE]'(?:[^'\\\\]|\\\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\\$(\\w*)\\$.*?\\$\\1\\$|--[^\\n]*|/\\*.*?\\*/" -%}
    {%- set exponent = '(?:\\d[\\d_]*\\.?[\\d_]*|\\.\\d[\\d_]*)[eE][+-]?\\d[\\d_]*' -%}
    {#- A decimal has 38 digits at most. -#}
    {%- set too_long = '(?=[\\d_]*\\.)(?=(?:[._]*\\d){39})[\\d_.]+' -%}
    {%- set pattern = '(?s)' ~ no_number ~ '|(?<![\\w.])(?:(?P<double>' ~ exponent ~ '|' ~ too_long ~ ')|(?P<whole>\\d[\\d_]*)\\.(?![\\w.]))' -%}
    {%- set parts, read = [], namespace(until=0) -%}
    {%- for found in modules.re.finditer(pattern, sql) if found['double'] or found['whole'] -%}
        {%- set digits = (found['double'] or found['whole']) | replace('_', '') -%}
        {%- set data_type = 'double' if found['double'] else 'decimal(' ~ digits | length ~ ', 0)' -%}
        {%- do parts.append(sql[read.until:found.start()] ~ "cast('" ~ digits ~ "' as " ~ data_type ~ ')') -%}
        {%- set read.until = found.end() -%}
    {%- endfor -%}
    {{ return(parts | join ~ sql[read.until:]) }}
{%- endmacro %}


{#- What dbt's `view` asks for, and `replaced_view` too. -#}
{% macro duckdb__create_view_as(relation, sql) -%}
    {{ return(dbt.duckdb__create_view_as(relation, assay._view_of_lake(relation, sql))) }}
{%- endmacro %}

{% macro point_in_time_join(spine, spine_at, features) -%}
    {%- for feature in features if feature.view -%}
        {%- do ref(feature.view) -%}
    {%- endfor -%}
    {%- do assay._register_join(features) -%}
    {%- if execute -%}
        {%- set requests = assay._feature_requests(features) -%}
        {%- do assay._refuse_doubles(assay._names_of_spine(spine) + assay._names_of_features(requests)) -%}
        {{ assay._joined_as_of(spine, spine_at, requests) }}
    {%- endif -%}
{%- endmacro %}


{#- Spine and features travel as structs, so that their names never meet before the end. -#}
{% macro _joined_as_of(spine, spine_at, requests) -%}
with features_0 as (

    select
        _spine_row as _spine,
        {{ assay.as_utc(spine_at) }} as _spine_at
    from (select * from {{ spine }}) as _spine_row

),
{%- set asked = {} %}
{% for request in requests %}
{%- set view, keys = 'features_' ~ loop.index, assay.quoted(request.entity_keys, '_spine') %}
{%- set carried = ['_spine', '_spine_at'] + (requests[:loop.index0] | map(attribute='struct') | list) %}
{{ assay._spans_asked_for(asked, keys, request.entity_keys) }}
{{ assay._history_asked_for(view, request, asked[keys]) }}

{{ assay._values_in_force(view, request, 'features_' ~ loop.index0, carried) }}

{{ view }}_derived as (

    select
        *
        {%- for name, expression in request.derived.items() %},
        ({{ expression }}) as {{ assay.quoted(name) }}
        {%- endfor %}
    from {{ view }}_values

),

{{ view }} as (

    select
        {%- for column in carried %}
        {{ column }},
        {%- endfor %}
        struct_pack(
            {%- for name in request.outputs %}
            {{ assay.quoted(request.prefix ~ name) }} := {{ assay.quoted(name) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as {{ request.struct }}
    from {{ view }}_derived

),
{% endfor %}
final as (

    select
        _spine.*
        {%- for request in requests %},
        {{ request.struct }}.*
        {%- endfor %}
    from features_{{ requests | length }}
    -- DuckDB refuses two columns of one name here, when it plans: a CTE's are not known before.
    where typeof(struct_concat(_spine, {{ requests | map(attribute='struct') | join(', ') }})) <> ''

)

select * from final
{%- endmacro %}


{#- Of each entity of the spine, the span in which it is asked for; views with the same keys share it. `asked` has those
    that stand there already. -#}
{% macro _spans_asked_for(asked, keys, entity_keys) -%}
{% if keys not in asked -%}
{%- do asked.update({keys: 'asked_' ~ (asked | length + 1)}) -%}
{{ asked[keys] }} as (

    select
        {%- for key in entity_keys %}
        {{ assay.quoted(key, '_spine') }} as _key_{{ loop.index }},
        {%- endfor %}
        min(_spine_at) as _first_at,
        max(_spine_at) as _last_at
    from features_0
    group by {{ keys }}

),
{% endif %}
{%- endmacro %}


{#- Rows of a history that hold at a time asked for; to sort the others for the join would cost most of it. -#}
{% macro _history_asked_for(view, request, asked) -%}
{{ view }}_history as (

    select
        {%- for column in request.entity_keys %}
        {{ assay.quoted(column, 'history') }} as _key_{{ loop.index }},
        {%- endfor %}
        {%- for column in request.needed %}
        {{ assay.quoted(column, 'history') }},
        {%- endfor %}
        {{ assay.as_utc('history.valid_from') }} as _valid_from,
        {{ assay.as_utc('history.valid_to') }} as _valid_to
        {%- if request.max_age %},
        {{ assay.as_utc('history.updated_at') }} as _updated_at
        {%- if request.confirmed_at %},
        list_transform(history.confirmed_at, lambda instant: {{ assay.as_utc('instant') }}) as _confirmed_at
        {%- endif %}
        {%- endif %}
    from {{ request.relation }} as history
    inner join {{ asked }} as asked
        on
            {%- for key in request.entity_keys %}
            {{ assay.quoted(key, 'history') }} = asked._key_{{ loop.index }}{{ ' and' if not loop.last }}
            {%- endfor %}
    -- A case stays out of the join: whole numbers are looked up in an array where there are no other conditions.
    where
        case
            when {{ assay.as_utc('history.valid_from') }} <= asked._last_at
                then {{ assay.as_utc('history.valid_to') }} > asked._first_at
        end

),
{%- endmacro %}


{#- The row that holds for each of the spine, and what it says: nothing where it ended, or is too old. -#}
{% macro _values_in_force(view, request, spine, carried) -%}
{{ view }}_matched as (

    select
        {%- for column in carried %}
        spine_rows.{{ column }},
        {%- endfor %}
        {%- for name, expression in request.inputs.items() %}
        {{ assay.quoted(expression, 'spine_rows._spine') }} as {{ assay.quoted(name) }},
        {%- endfor %}
        {%- for column in request.needed %}
        {{ assay.quoted(column, 'history') }},
        {%- endfor %}
        {{ assay._is_in_force(request, 'spine_rows._spine_at') }} as _is_in_force
    from {{ spine }} as spine_rows
    asof left join {{ view }}_history as history
        on
            {%- for key in request.entity_keys %}
            {{ assay.quoted(key, 'spine_rows._spine') }} = history._key_{{ loop.index }} and
            {%- endfor %}
            spine_rows._spine_at >= history._valid_from

),

{{ view }}_values as (

    select
        {%- for column in carried %}
        {{ column }},
        {%- endfor %}
        _spine_at as as_of
        {%- for name in request.inputs %},
        {{ assay.quoted(name) }}
        {%- endfor %}
        {%- for column in request.needed %},
        {#- CASE takes no ARRAY before DuckDB 2.0. #}
        {%- set value = 'list_extract([' ~ assay.quoted(column) ~ '], case when _is_in_force then 1 end)' %}
        {%- if column in request.defaults %}
        coalesce({{ value }}, {{ request.defaults[column] }}) as {{ assay.quoted(column) }}
        {%- else %}
        {{ value }} as {{ assay.quoted(column) }}
        {%- endif %}
        {%- endfor %}
    from {{ view }}_matched

),
{%- endmacro %}


{#- Whether the row that was found still held, and was young enough. -#}
{% macro _is_in_force(request, at) -%}
    {%- set updated_at -%}
        {%- if request.confirmed_at -%}
            coalesce(list_last(list_filter(history._confirmed_at, lambda instant: instant <= {{ at }})), history._updated_at)
        {%- else -%}
            history._updated_at
        {%- endif -%}
    {%- endset -%}
    coalesce({{ at }} < history._valid_to{% if request.max_age %} and {{ at }} <= {{ updated_at }} + {{ assay._window_lengths([request.max_age])[request.max_age] }}{% endif %}, false)
{%- endmacro %}


{#- Each entry of `features`, checked, and completed by what its view declares. -#}
{% macro _feature_requests(features) -%}
    {%- set allowed = ['view', 'relation', 'entity_keys', 'columns', 'needed', 'max_age', 'defaults', 'derived', 'inputs', 'prefix', 'confirmed_at'] -%}
    {%- set requests = [] -%}
    {%- for feature in features -%}
        {%- for word in feature if word not in allowed -%}
            {%- do assay._refuse('features[' ~ loop.index0 ~ '] has ' ~ word ~ ': allowed are ' ~ allowed | join(', ')) -%}
        {%- endfor -%}
        {%- set request = assay._request_of_view(feature) if feature.view else assay._request_of_relation(feature) -%}
        {%- do assay._check_age(request.max_age, request.name) -%}
        {%- do request.update({'struct': '_features_' ~ loop.index}) -%}
        {%- do requests.append(request) -%}
        {%- do assay._refuse_doubles(assay._names_within(requests)) -%}
    {%- endfor -%}
    {%- if not requests -%}
        {%- do assay._refuse('point_in_time_join was given no features') -%}
    {%- endif -%}
    {{ return(requests) }}
{%- endmacro %}


{#- What the columns of the result are called, each with words for where it comes from. Those of a CTE are not known. -#}
{% macro _names_of_spine(spine) -%}
    {%- set found = [] -%}
    {%- for column in (adapter.get_columns_in_relation(spine) if spine.identifier else []) -%}
        {%- do found.append((column.name, 'column of the spine')) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro _names_of_features(requests) -%}
    {%- set found = [] -%}
    {%- for request in requests -%}
        {%- for name in request.outputs -%}
            {%- do found.append((request.prefix ~ name, 'feature ' ~ name ~ ' of ' ~ request.name)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- What stands side by side where the derived features of the last request are computed. -#}
{% macro _names_within(requests) -%}
    {%- set found, request = [], requests[-1] -%}
    {%- set own = ['as_of', '_spine', '_spine_at', '_is_in_force', '_valid_from', '_valid_to', '_updated_at', '_confirmed_at'] -%}
    {%- for key in request.entity_keys -%}
        {%- do own.append('_key_' ~ loop.index) -%}
    {%- endfor -%}
    {%- for name in own + (requests | map(attribute='struct') | list) -%}
        {%- do found.append((name, 'column of the join itself')) -%}
    {%- endfor -%}
    {%- for what, names in {'column': request.needed, 'request input': request.inputs, 'derived feature': request.derived}.items() -%}
        {%- for name in names -%}
            {%- do found.append((name, what ~ ' ' ~ name ~ ' of ' ~ request.name)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro _request_of_relation(feature) -%}
    {%- if not feature.relation or not feature.entity_keys -%}
        {%- do assay._refuse('features need a view, or a relation with its entity_keys') -%}
    {%- endif -%}
    {%- set derived = feature.derived or {} -%}
    {{ return({
        'name': feature.relation,
        'relation': feature.relation,
        'entity_keys': feature.entity_keys,
        'needed': ((feature.columns or []) + (feature.needed or [])) | unique | list,
        'max_age': feature.get('max_age'),
        'defaults': feature.defaults or {},
        'derived': derived,
        'outputs': (feature.columns or []) + (derived | list),
        'inputs': feature.inputs or {},
        'prefix': feature.prefix or '',
        'confirmed_at': feature.confirmed_at,
    }) }}
{%- endmacro %}


{% macro _request_of_view(feature) -%}
    {%- set view = assay.feature_view(feature.view) -%}
    {%- set declared, types = {}, {} -%}
    {%- for each in view.derived -%}
        {%- do declared.update({each.name: each.expression}) -%}
        {%- do types.update({each.name: each.type}) -%}
    {%- endfor -%}
    {%- set columns = feature.columns or [] -%}
    {%- for column in columns if column not in view.columns -%}
        {%- do assay._refuse(feature.view ~ ' has no column ' ~ column ~ ': it has ' ~ view.columns | join(', ')) -%}
    {%- endfor -%}
    {%- set derived, inputs, needed = {}, {}, columns[:] -%}
    {%- for name in feature.derived or [] if name not in declared -%}
        {%- do assay._refuse(feature.view ~ ' derives no ' ~ name ~ ': it derives ' ~ (declared | join(', ') or 'nothing')) -%}
    {%- endfor -%}
    {#- A derived feature may use those declared before it. -#}
    {%- set used = (feature.derived or [])[:] -%}
    {%- for name in declared | list | reverse if name in used -%}
        {%- for other in assay._mentioned(declared, declared[name]) if other not in used -%}
            {%- do used.append(other) -%}
        {%- endfor -%}
        {%- for column in assay._mentioned(view.columns, declared[name]) if column not in needed -%}
            {%- do needed.append(column) -%}
        {%- endfor -%}
        {%- for input in assay._mentioned(view.inputs | map(attribute='name'), declared[name]) -%}
            {%- do inputs.update({input: (feature.inputs or {}).get(input, input)}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for name in declared if name in used -%}
        {#- Which type an expression has by itself, versions of DuckDB tell differently. -#}
        {%- do derived.update({name: '(' ~ declared[name] ~ ')' ~ ('::' ~ types[name] if types[name])}) -%}
    {%- endfor -%}
    {{ return({
        'name': feature.view,
        'relation': ref(feature.view),
        'entity_keys': view.entity_keys,
        'needed': needed,
        'max_age': feature.max_age if 'max_age' in feature else view.max_age,
        'defaults': view.defaults,
        'derived': derived,
        'outputs': columns + (feature.derived or []),
        'inputs': inputs,
        'prefix': feature.prefix or '',
        'confirmed_at': view.confirmed_at,
    }) }}
{%- endmacro %}


{#- What a model joins stands in its meta as `joined_features`, the one place to read it: `joined_features_of` here,
    assay/project/joins.py in Python. -#}
{% macro _register_join(features) -%}
    {%- set joined = [] -%}
    {%- for feature in features -%}
        {%- do joined.append({
            'view': feature.view or none,
            'columns': (feature.columns or []) | list,
            'derived': (feature.derived or []) | list,
            'inputs': feature.inputs or {},
            'prefix': feature.prefix or '',
            'max_age': feature.max_age if 'max_age' in feature else 'of the view',
            'confirmed_at': feature.confirmed_at or false,
        }) -%}
    {%- endfor -%}
    {%- if not execute -%}
        {#- A model may join twice, and of a name in meta the last call of config counts. -#}
        {%- set known = model.setdefault('joined_features', []) -%}
        {%- do known.extend(joined) -%}
        {%- do config(meta={'joined_features': known}) -%}
    {%- elif model.resource_type == 'model' -%}
        {%- for each in joined if each not in assay.joined_features_of(model) -%}
            {%- do exceptions.warn(
                model.name ~ ' joins features of ' ~ (each.view or 'a relation') ~ ' that dbt did not know when it parsed the model: '
                ~ 'feature services, drift, the search for leaks and the manifests of training sets leave them out. '
                ~ 'Write them down, without execute, graph or run_query.'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

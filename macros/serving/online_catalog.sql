{% macro online_catalog(views) -%}
    {%- for view in views %}
    {{ 'union all' if not loop.first }}
    select
        '{{ view }}' as feature_view,
        {{ assay._text(tojson(assay._definition(view), sort_keys=true)) }} as definition,
        (select {{ assay.as_utc('max(updated_at)') }} from {{ assay.online_relation(view) }}) as known_until,
        '{{ invocation_id }}' as run_id
    {%- else %}
    select
        null::varchar as feature_view,
        null::varchar as definition,
        null::timestamp as known_until,
        null::varchar as run_id
    where false
    {%- endfor %}
{%- endmacro %}


{#- All that a server needs to know of a view. -#}
{% macro _definition(name) -%}
    {%- set view = assay.feature_view(name) -%}
    {%- set online = assay._online_columns(view) -%}
    {%- set described = {'keys': [], 'columns': []} -%}
    {%- for column in view.described -%}
        {%- if column.name in view.entity_keys -%}
            {%- do described['keys'].append(column) -%}
        {%- elif column.name in online -%}
            {%- do described['columns'].append(dict(column, default=view.defaults.get(column.name))) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set are_hashed = var('hash_pii', true) and described['keys'] | selectattr('pii', 'equalto', 'hash') | list -%}
    {%- set key = run_query("select getvariable('pii_fingerprint')").columns[0].values()[0] if are_hashed -%}
    {{ return({
        'name': name,
        'pii_key': key or none,
        'description': view.description,
        'entity': view.entity,
        'owner': view.owner,
        'max_age': view.max_age,
        'keys': described['keys'],
        'columns': described.columns,
        'derived': view.derived,
        'inputs': view.inputs,
        'unique_id': view.unique_id,
        'services': assay._services_of(name),
    }) }}
{%- endmacro %}


{#- The training sets that take features from a view, as feature services: each with the views it takes from, and of this
    one which features at which place. What a set joins only to derive others from it, and leaves out, it does not take. -#}
{% macro _services_of(name) -%}
    {%- set services = [] -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id') if assay._is_of_kind(node, 'training_sets') -%}
        {%- set joined = [] -%}
        {%- for each in assay.joined_features_of(node) -%}
            {%- set features = [] -%}
            {%- for feature in each.columns + each.derived
                if not node.config.contract.enforced or each.prefix ~ feature in node.columns -%}
                {%- do features.append(feature) -%}
            {%- endfor -%}
            {%- if features -%}
                {%- do joined.append(dict(each, features=features)) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- for each in joined if each.view == name -%}
            {%- do services.append({
                'name': node.name,
                'view': name,
                'features': each.features,
                'prefix': each.prefix,
                'max_age': each.max_age,
                'place': joined.index(each),
                'views': joined | map(attribute='view') | list,
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(services) }}
{%- endmacro %}

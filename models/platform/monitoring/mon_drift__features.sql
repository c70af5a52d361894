{% set views = assay._compared_views(names_read('feature_views')) %}
{% set training_sets = trainable(names_read('training_sets')) %}
{% set features = [] %}
{% for view in views %}
    {% set trained_on = assay._trained_on(view, training_sets) %}
    {% for feature in view.numbers + view.categories %}
        {% do features.append((view, feature, trained_on.get(feature.name, []))) %}
    {% endfor %}
{% endfor %}
{% if features %}

    with features (feature_number, view_number, feature_view, feature, is_category, place, trained_on) as (

        values
        {% for view, feature, trained_on in features %}
            (
                {{ feature.number }}, {{ view.number }}, '{{ view.name }}', {{ assay._text(feature.name) }},
                {{ feature.is_category | lower }}, {{ feature.place }}, {{ trained_on }}::varchar[]
            ){{ ',' if not loop.last }}
        {% endfor %}

    )

    select * from features

{% else %}

    {{ no_rows() }}

{% endif %}

"""From one resource to another: by the engine's record of which resource a property's value came from."""

from __future__ import annotations

from collections.abc import Iterator

from policies.check import Subject
from stacks.graph import Graph, Resource


def linked(subject: Subject, key: str, type_: str) -> list[Resource]:
    """The resources of a type that the subject's property (its first part) was made from."""
    urns = subject.resource.property_dependencies.get(key, ())
    return [resource for resource in subject.graph.of_type(type_) if resource.urn in urns]


def linking(graph: Graph, target: Resource, type_: str, key: str) -> Iterator[Resource]:
    """The resources of a type whose property was made from the target."""
    return (r for r in graph.of_type(type_) if target.urn in r.property_dependencies.get(key, ()))


def is_public(graph: Graph, subnet: Resource) -> bool:
    """Whether a route of the subnet's table leads to an internet gateway."""
    for association in linking(graph, subnet, "aws:ec2/routeTableAssociation:RouteTableAssociation", "subnetId"):
        for table in graph.of_type("aws:ec2/routeTable:RouteTable"):
            if table.urn in association.property_dependencies.get("routeTableId", ()):
                routes = linking(graph, table, "aws:ec2/route:Route", "routeTableId")
                if any("gatewayId" in route.inputs for route in routes):
                    return True
    return False

//! What the OpenAPI documents of both planes have in common, so that generators of clients can read them.

use utoipa::openapi::{OpenApi, PathItem, Ref, RefOr, path::Operation, schema::ArrayItems, schema::Schema};

/// The media type of errors.
const PROBLEM: &str = "application/problem+json";

/// Finishes a document that was collected from routes: errors get their media type, and the items of lists are named.
pub fn finish_document(document: &mut OpenApi) {
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            if is_error(status) {
                let contents = std::mem::take(&mut response.content).into_values();
                response.content = contents.map(|content| (PROBLEM.to_owned(), content)).collect();
            }
        }
    }
    let Some(components) = &mut document.components else { return };
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        // utoipa writes the parameters of a generic type out in place.
        let Some(item) = name.strip_prefix("Listing_").filter(|item| names.iter().any(|name| name == item))
        else {
            continue;
        };
        if let RefOr::T(Schema::Object(listing)) = schema
            && let Some(RefOr::T(Schema::Array(items))) = listing.properties.get_mut("items")
        {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn is_error(status: &str) -> bool {
    status == "default" || status.starts_with(['4', '5'])
}

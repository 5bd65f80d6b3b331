//! Gives a page tree back to a file that lost its own.
//!
//! A file cut short has lost its end, where the cross-reference table, the catalog and often the page tree are.
//! Its pages are objects like others and mostly still there: they are collected under a new tree.

use lopdf::{Dictionary, Document, LoadOptions, Object, ObjectId, dictionary};

/// Free in any honest file (numbers grow from 1), and within what lopdf takes for a number when it scans.
const CATALOG_NUMBER: u32 = 999_990;

/// Loads a file that can't be loaded for lack of a catalog; none when it has no pages either.
pub(super) fn graft(bytes: &[u8], options: LoadOptions) -> Option<Document> {
    let end = format!(
        // The first two words close whatever the cut left open.
        "\nendstream\nendobj\n{CATALOG_NUMBER} 0 obj\n<</Type/Catalog>>\nendobj\n\
         trailer\n<</Root {CATALOG_NUMBER} 0 R/Size {}>>\n%%EOF\n",
        CATALOG_NUMBER + 1
    );
    let whole = [bytes, end.as_bytes()].concat();
    let options = LoadOptions {
        force_reconstruct: true,
        ..options
    };
    let mut document = Document::load_mem_with_options(&whole, options).ok()?;
    adopt_pages(&mut document).then_some(document)
}

/// Puts all page objects of `document`, in the order of their numbers, under a new page tree.
/// Says whether there were any; if not, nothing is changed.
pub(super) fn adopt_pages(document: &mut Document) -> bool {
    let pages: Vec<ObjectId> = document
        .objects
        .iter()
        .filter(|(_, object)| {
            object
                .as_dict()
                .is_ok_and(|dictionary| dictionary.has_type(b"Page"))
        })
        .map(|(&id, _)| id)
        .collect();
    if pages.is_empty() {
        return false;
    }
    let Ok(root) = document.try_new_object_id() else {
        return false;
    };
    for &page in &pages {
        // A parent that is left may have what pages inherit from it: the fonts, the paper's size.
        let has_parent = document
            .get_dictionary(page)
            .and_then(|page| page.get(b"Parent"))
            .and_then(Object::as_reference)
            .and_then(|parent| document.get_dictionary(parent))
            .is_ok();
        if !has_parent && let Ok(page) = document.get_dictionary_mut(page) {
            page.set("Parent", root);
        }
    }
    let count = i64::try_from(pages.len()).unwrap_or(i64::MAX);
    let kids: Vec<Object> = pages.into_iter().map(Object::Reference).collect();
    let tree = dictionary! { "Type" => "Pages", "Count" => count, "Kids" => kids };
    document.objects.insert(root, Object::Dictionary(tree));
    if let Ok(catalog) = document.catalog_mut() {
        catalog.set("Pages", root);
    } else {
        let catalog: Dictionary = dictionary! { "Type" => "Catalog", "Pages" => root };
        let catalog = document.add_object(catalog);
        document.trailer.set("Root", catalog);
    }
    true
}

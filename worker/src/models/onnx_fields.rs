//! The numbers of `onnx.proto3`, one module per message: what a reader of an ONNX file goes by.

/// The version of the format that these numbers are of.
pub(super) const IR_VERSION: i64 = 8;

pub(super) mod model {
    pub(crate) const IR_VERSION: u32 = 1;
    pub(crate) const PRODUCER_NAME: u32 = 2;
    pub(crate) const GRAPH: u32 = 7;
    pub(crate) const OPSET_IMPORT: u32 = 8;
}
pub(super) mod opset {
    pub(crate) const DOMAIN: u32 = 1;
    pub(crate) const VERSION: u32 = 2;
}
pub(super) mod graph {
    pub(crate) const NODE: u32 = 1;
    pub(crate) const NAME: u32 = 2;
    pub(crate) const INITIALIZER: u32 = 5;
    pub(crate) const INPUT: u32 = 11;
    pub(crate) const OUTPUT: u32 = 12;
}
pub(super) mod node {
    pub(crate) const INPUT: u32 = 1;
    pub(crate) const OUTPUT: u32 = 2;
    pub(crate) const NAME: u32 = 3;
    pub(crate) const OPERATOR: u32 = 4;
    pub(crate) const ATTRIBUTE: u32 = 5;
    pub(crate) const DOMAIN: u32 = 7;
}
pub(super) mod attribute {
    pub(crate) const NAME: u32 = 1;
    pub(crate) const FLOAT: u32 = 2;
    pub(crate) const INTEGER: u32 = 3;
    pub(crate) const INTEGERS: u32 = 8;
    pub(crate) const TYPE: u32 = 20;
    pub(crate) const TYPE_FLOAT: i64 = 1;
    pub(crate) const TYPE_INTEGER: i64 = 2;
    pub(crate) const TYPE_INTEGERS: i64 = 7;
}
pub(super) mod tensor {
    pub(crate) const DIMENSION: u32 = 1;
    pub(crate) const DATA_TYPE: u32 = 2;
    pub(crate) const NAME: u32 = 8;
    pub(crate) const RAW_DATA: u32 = 9;
    pub(crate) const EXTERNAL_DATA: u32 = 13;
    pub(crate) const DATA_LOCATION: u32 = 14;
    pub(crate) const LOCATION_EXTERNAL: i64 = 1;
    /// Of the key-value pairs in `EXTERNAL_DATA`.
    pub(crate) const KEY: u32 = 1;
    pub(crate) const VALUE: u32 = 2;
}
pub(super) mod value_info {
    pub(crate) const NAME: u32 = 1;
    pub(crate) const TYPE: u32 = 2;
    /// Of the type within: a tensor; of the tensor: its element type and shape; of the shape: its
    /// dimensions.
    pub(crate) const TENSOR: u32 = 1;
    pub(crate) const ELEMENT_TYPE: u32 = 1;
    pub(crate) const SHAPE: u32 = 2;
    pub(crate) const DIMENSION: u32 = 1;
    pub(crate) const DIMENSION_SIZE: u32 = 1;
    pub(crate) const DIMENSION_NAME: u32 = 2;
}

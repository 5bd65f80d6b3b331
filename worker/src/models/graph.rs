//! Builds an ONNX graph node by node and serialises it.

use super::onnx_fields::{IR_VERSION, attribute, graph, model, node, opset, tensor, value_info};
use super::protobuf::Message;
use super::weights::{Place, Width};

/// The operators of the ONNX standard, as of opset 18, and those that ONNX Runtime adds to it.
const STANDARD_OPSET: i64 = 18;
const MICROSOFT_DOMAIN: &str = "com.microsoft";

/// The element types that we use, with their numbers in `TensorProto.DataType`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Element {
    Float = 1,
    Int8 = 3,
    Int64 = 7,
    Float16 = 10,
}

impl Element {
    /// As the attribute `to` of `Cast` takes it.
    pub(super) fn number(self) -> i64 {
        self as i64
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute<'a> {
    Integer(&'a str, i64),
    Float(&'a str, f32),
    Integers(&'a str, &'a [i64]),
}

/// One side of an input or output: a fixed size, or a name for one that differs from call to call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dimension<'a> {
    Fixed(usize),
    Named(&'a str),
}

/// The name of a tensor in the graph: an input, a constant or what a node puts out.
pub(super) type Tensor = String;

/// A graph under construction. Nodes must be added after those whose output they read.
#[derive(Debug)]
pub(super) struct Graph {
    message: Message,
    nodes: usize,
}

impl Graph {
    pub(super) fn new(name: &str) -> Self {
        let mut message = Message::default();
        message.text(graph::NAME, name);
        Self { message, nodes: 0 }
    }

    pub(super) fn input(
        &mut self,
        name: &str,
        element: Element,
        shape: &[Dimension<'_>],
    ) -> Tensor {
        self.message
            .message(graph::INPUT, &value_info(name, element, shape));
        name.to_owned()
    }

    pub(super) fn output(&mut self, name: &str, element: Element, shape: &[Dimension<'_>]) {
        self.message
            .message(graph::OUTPUT, &value_info(name, element, shape));
    }

    /// Adds a node of the standard operators with one output.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Tensor],
        attributes: &[Attribute<'_>],
    ) -> Tensor {
        let output = self.unused_name(operator);
        self.add_node("", operator, inputs, &[&output], attributes);
        output
    }

    /// Adds a node of ONNX Runtime's own operators with one output.
    pub(super) fn fused_node(
        &mut self,
        operator: &str,
        inputs: &[&Tensor],
        attributes: &[Attribute<'_>],
    ) -> Tensor {
        let output = self.unused_name(operator);
        self.add_node(MICROSOFT_DOMAIN, operator, inputs, &[&output], attributes);
        output
    }

    /// Splits a tensor along its last axis into three of equal size.
    pub(super) fn split_in_three(&mut self, input: &Tensor) -> [Tensor; 3] {
        let outputs = [1, 2, 3].map(|part| format!("{input}_part_{part}"));
        let attributes = [
            Attribute::Integer("axis", -1),
            Attribute::Integer("num_outputs", 3),
        ];
        self.add_node("", "Split", &[input], &outputs.each_ref(), &attributes);
        outputs
    }

    /// Adds a node whose output has a name of its own: one of the graph's outputs.
    pub(super) fn node_named(
        &mut self,
        output: &str,
        operator: &str,
        inputs: &[&Tensor],
        attributes: &[Attribute<'_>],
    ) {
        self.add_node("", operator, inputs, &[&output.to_owned()], attributes);
    }

    /// Adds a constant whose bytes (little-endian, row order) are part of the graph.
    pub(super) fn constant(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        bytes: &[u8],
    ) -> Tensor {
        let mut message = tensor_head(name, element, shape);
        message.bytes(tensor::RAW_DATA, bytes);
        self.message.message(graph::INITIALIZER, &message);
        name.to_owned()
    }

    pub(super) fn constant_floats(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Tensor {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, Element::Float, shape, &bytes)
    }

    pub(super) fn constant_integers(&mut self, name: &str, values: &[i64]) -> Tensor {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, Element::Int64, &[values.len()], &bytes)
    }

    /// Adds a constant of floats whose bytes stay where they are, in a file of the model's folder.
    pub(super) fn external_floats(
        &mut self,
        name: &str,
        shape: &[usize],
        file: &str,
        place: Place,
    ) -> Tensor {
        let element = match place.width {
            Width::Bits32 => Element::Float,
            Width::Bits16 => Element::Float16,
            Width::Bits8 => Element::Int8,
        };
        let mut message = tensor_head(name, element, shape);
        let entries = [
            ("location", file.to_owned()),
            ("offset", place.offset.to_string()),
            ("length", place.length.to_string()),
        ];
        for (key, value) in entries {
            let mut entry = Message::default();
            entry.text(tensor::KEY, key).text(tensor::VALUE, &value);
            message.message(tensor::EXTERNAL_DATA, &entry);
        }
        message.integer(tensor::DATA_LOCATION, tensor::LOCATION_EXTERNAL);
        self.message.message(graph::INITIALIZER, &message);
        name.to_owned()
    }

    /// The bytes of an ONNX file.
    pub(super) fn into_model(self) -> Vec<u8> {
        let mut message = Message::default();
        message
            .integer(model::IR_VERSION, IR_VERSION)
            .text(model::PRODUCER_NAME, "lectern");
        for (domain, version) in [("", STANDARD_OPSET), (MICROSOFT_DOMAIN, 1)] {
            let mut import = Message::default();
            import
                .text(opset::DOMAIN, domain)
                .integer(opset::VERSION, version);
            message.message(model::OPSET_IMPORT, &import);
        }
        message.message(model::GRAPH, &self.message);
        message.into_bytes()
    }

    fn unused_name(&self, operator: &str) -> Tensor {
        format!("{operator}_{}", self.nodes)
    }

    fn add_node(
        &mut self,
        domain: &str,
        operator: &str,
        inputs: &[&Tensor],
        outputs: &[&Tensor],
        attributes: &[Attribute<'_>],
    ) {
        let mut message = Message::default();
        message
            .text(node::NAME, &self.unused_name(operator))
            .text(node::OPERATOR, operator)
            .text(node::DOMAIN, domain);
        for input in inputs {
            message.text(node::INPUT, input);
        }
        for output in outputs {
            message.text(node::OUTPUT, output);
        }
        for attribute in attributes {
            message.message(node::ATTRIBUTE, &attribute_message(*attribute));
        }
        self.message.message(graph::NODE, &message);
        self.nodes += 1;
    }
}

fn attribute_message(attribute: Attribute<'_>) -> Message {
    let mut message = Message::default();
    match attribute {
        Attribute::Integer(name, value) => {
            message
                .text(attribute::NAME, name)
                .integer(attribute::INTEGER, value);
            message.integer(attribute::TYPE, attribute::TYPE_INTEGER);
        }
        Attribute::Float(name, value) => {
            message
                .text(attribute::NAME, name)
                .float(attribute::FLOAT, value);
            message.integer(attribute::TYPE, attribute::TYPE_FLOAT);
        }
        Attribute::Integers(name, values) => {
            message.text(attribute::NAME, name);
            for value in values {
                message.integer(attribute::INTEGERS, *value);
            }
            message.integer(attribute::TYPE, attribute::TYPE_INTEGERS);
        }
    }
    message
}

fn tensor_head(name: &str, element: Element, shape: &[usize]) -> Message {
    let mut message = Message::default();
    message
        .text(tensor::NAME, name)
        .integer(tensor::DATA_TYPE, element.number());
    for size in shape {
        message.integer(tensor::DIMENSION, *size as i64);
    }
    message
}

fn value_info(name: &str, element: Element, shape: &[Dimension<'_>]) -> Message {
    let mut shape_message = Message::default();
    for dimension in shape {
        let mut message = Message::default();
        match dimension {
            Dimension::Fixed(size) => message.integer(value_info::DIMENSION_SIZE, *size as i64),
            Dimension::Named(name) => message.text(value_info::DIMENSION_NAME, name),
        };
        shape_message.message(value_info::DIMENSION, &message);
    }
    let mut tensor_type = Message::default();
    tensor_type
        .integer(value_info::ELEMENT_TYPE, element.number())
        .message(value_info::SHAPE, &shape_message);
    let mut any_type = Message::default();
    any_type.message(value_info::TENSOR, &tensor_type);
    let mut message = Message::default();
    message
        .text(value_info::NAME, name)
        .message(value_info::TYPE, &any_type);
    message
}

//! Turns the folder of a BERT or XLM-R model into an ONNX model that maps token ids to finished sentence vectors.
//!
//! Made in memory at each start, so that there is no second file that could disagree with the
//! weights. In 32 bits the graph is 20 KB and points into `model.safetensors`; in 8 bits it holds
//! the rounded weights, 23 MB for 22 million. Both families are one network; they differ in where positions begin.
//!
//! Mean pooling and normalisation are part of the graph: the runtime hands back 384 numbers per
//! text rather than 384 per token. Layers use ONNX Runtime's fused operators (`com.microsoft`),
//! which its optimiser would otherwise have to recognise in a longer graph. Sources: Devlin et al.
//! 2019 (BERT); Reimers and Gurevych 2019 (pooling); `ContribOperators.md` of ONNX Runtime.

use super::folder::{BertConfig, ModelFolder};
use super::graph::{Attribute, Dimension, Element, Graph, Tensor};
use super::quantize::QuantizedMatrix;
use super::weights::{Weights, Width};
use super::{EmbedError, Quantization};

/// The model's input, `[texts, tokens]` of 64-bit integers, and its output, `[texts, dimensions]` of floats.
///
/// There is no mask, so that all texts of a call must have as many tokens; a call has one text. Without a mask, ONNX
/// Runtime takes its quick attention, which keeps its sums in the caches: a tenth of all processor time less.
pub(super) const TOKEN_IDS: &str = "token_ids";
pub(super) const SENTENCE_VECTORS: &str = "sentence_vectors";

/// The other output: what the last layer says of each token, `[texts, tokens, dimensions]`. It is there anyway.
pub(super) const TOKEN_STATES: &str = "token_states";

/// Of a cross-encoder: which of two texts each token is of, an input besides the tokens; and the output, `[texts, 1]`.
pub(super) const SEGMENTS: &str = "segments";
pub(super) const SCORES: &str = "scores";

/// The bytes of an ONNX file. In 32 bits it needs the weights' folder beside it.
pub(super) fn model(
    folder: &ModelFolder,
    quantization: Quantization,
) -> Result<Vec<u8>, EmbedError> {
    let mut encoder = Encoder {
        graph: Graph::new("sentence encoder"),
        config: &folder.bert,
        weights: &folder.weights,
        quantization,
        hidden: usize::from(folder.bert.hidden_size),
    };
    let shape = [Dimension::Named("texts"), Dimension::Named("tokens")];
    let token_ids = encoder.graph.input(TOKEN_IDS, Element::Int64, &shape);

    let states = encoder.states(&token_ids, None)?;
    encoder.pool(&states);
    encoder.show(&states);
    Ok(encoder.graph.into_model())
}

/// The bytes of an ONNX file that scores pairs of texts; it needs the weights' folder beside it.
pub(super) fn cross_encoder(folder: &ModelFolder) -> Result<Vec<u8>, EmbedError> {
    let mut encoder = Encoder {
        graph: Graph::new("cross-encoder"),
        config: &folder.bert,
        weights: &folder.weights,
        quantization: Quantization::Fp32,
        hidden: usize::from(folder.bert.hidden_size),
    };
    let shape = [Dimension::Named("texts"), Dimension::Named("tokens")];
    let token_ids = encoder.graph.input(TOKEN_IDS, Element::Int64, &shape);
    let segments = encoder.graph.input(SEGMENTS, Element::Int64, &shape);
    let states = encoder.states(&token_ids, Some(&segments))?;
    encoder.classify(&states)?;
    Ok(encoder.graph.into_model())
}

/// Where the scales of a table of words are that holds integers, and for how many numbers each of them is.
pub(super) const WORD_SCALES: &str = "embeddings.word_embeddings.scales";
pub(super) const WORD_BLOCK: usize = 32;

struct Encoder<'a> {
    graph: Graph,
    config: &'a BertConfig,
    weights: &'a Weights,
    quantization: Quantization,
    /// Numbers per token between the layers; the dimensions of the vectors.
    hidden: usize,
}

/// A linear layer before its bias is added: the next operator adds it on its way.
struct Linear {
    product: Tensor,
    bias: Tensor,
}

impl Encoder<'_> {
    /// What the last layer says of each token.
    fn states(
        &mut self,
        token_ids: &Tensor,
        segments: Option<&Tensor>,
    ) -> Result<Tensor, EmbedError> {
        let mut states = self.embeddings(token_ids, segments)?;
        for layer in 0..self.config.num_hidden_layers {
            states = self.layer(layer, &states)?;
        }
        Ok(states)
    }

    /// Word, position and segment embeddings, summed and normalised: `[texts, tokens]` to `[texts,
    /// tokens, hidden]`.
    fn embeddings(
        &mut self,
        token_ids: &Tensor,
        segment_ids: Option<&Tensor>,
    ) -> Result<Tensor, EmbedError> {
        let words = self.word_embeddings(token_ids)?;

        // As many rows of the position table as this text is long.
        let positions = self.floats(
            "embeddings.position_embeddings.weight",
            &[self.config.max_position_embeddings.into(), self.hidden],
        )?;
        let first = self.integer("first_position", self.config.first_position().into());
        let (zero, one, two) = (
            self.integer("zero", 0),
            self.integer("one", 1),
            self.integer("two", 2),
        );
        let batch_shape = self.graph.node("Shape", &[token_ids], &[]);
        let tokens = self.graph.node("Slice", &[&batch_shape, &one, &two], &[]);
        let end = self.graph.node("Add", &[&tokens, &first], &[]);
        let positions = self
            .graph
            .node("Slice", &[&positions, &first, &end, &zero], &[]);

        // A text on its own is segment 0 throughout.
        let segments = self.floats(
            "embeddings.token_type_embeddings.weight",
            &[self.config.type_vocab_size, self.hidden],
        )?;
        let segment_ids = segment_ids.unwrap_or(&zero);
        let segment = self.graph.node("Gather", &[&segments, segment_ids], &[]);

        let sum = self.graph.node("Add", &[&words, &positions], &[]);
        let sum = self.graph.node("Add", &[&sum, &segment], &[]);
        let (weight, bias) = self.layer_norm("embeddings.LayerNorm")?;
        let epsilon = Attribute::Float("epsilon", self.config.layer_norm_eps);
        Ok(self.graph.node(
            "LayerNormalization",
            &[&sum, &weight, &bias],
            &[epsilon, Attribute::Integer("axis", -1)],
        ))
    }

    /// Only the rows of the text's tokens are ever looked at, so that a table that needs no rounding stays in its file,
    /// and of a large vocabulary the words that occur are in memory.
    ///
    /// In 8 bits rows are gathered as integers and scaled afterwards. Rounded is a table of 32 bits alone: one of 16 or
    /// 8, as that of a multilingual model, which is most of it, is better left where it is than copied.
    fn word_embeddings(&mut self, token_ids: &Tensor) -> Result<Tensor, EmbedError> {
        const NAME: &str = "embeddings.word_embeddings.weight";
        let shape = [self.config.vocab_size, self.hidden];
        let place = self.weights.place_of_any(NAME, &shape)?;
        if self.quantization == Quantization::Fp32 || place.width != Width::Bits32 {
            let file = self.weights.file_name();
            let table = self.graph.external_floats(NAME, &shape, &file, place);
            let words = self.graph.node("Gather", &[&table, token_ids], &[]);
            return match place.width {
                Width::Bits32 => Ok(words),
                Width::Bits16 => Ok(self.cast(&words, Element::Float)),
                Width::Bits8 => self.scaled(&words, token_ids),
            };
        }
        let table = QuantizedMatrix::read(self.weights, NAME, shape)?;
        let integers = self
            .graph
            .constant("words.integers", Element::Int8, &shape, &table.bytes());
        let scales = self
            .graph
            .constant_floats("words.scales", &[shape[0], 1], &table.scales);
        let integers = self.graph.node("Gather", &[&integers, token_ids], &[]);
        let scales = self.graph.node("Gather", &[&scales, token_ids], &[]);
        let numbers = self.cast(&integers, Element::Float);
        Ok(self.graph.node("Mul", &[&numbers, &scales], &[]))
    }

    /// Integers of the table of words times the scales of their blocks.
    fn scaled(&mut self, words: &Tensor, token_ids: &Tensor) -> Result<Tensor, EmbedError> {
        let blocks = self.hidden / WORD_BLOCK;
        let shape = [self.config.vocab_size, blocks];
        let place = self.weights.place(WORD_SCALES, &shape)?;
        let file = self.weights.file_name();
        let scales = self
            .graph
            .external_floats(WORD_SCALES, &shape, &file, place);
        let scales = self.graph.node("Gather", &[&scales, token_ids], &[]);
        let scales = self.cast(&scales, Element::Float);
        let numbers = self.cast(words, Element::Float);
        // [texts, tokens, blocks, 32], and scales with one number for 32: 0 keeps a size.
        let apart = [0, 0, blocks as i64, WORD_BLOCK as i64];
        let apart = self.graph.constant_integers("blocks_apart", &apart);
        let one_each = [0, 0, blocks as i64, 1];
        let one_each = self
            .graph
            .constant_integers("one_for_each_block", &one_each);
        let together = [0, 0, self.hidden as i64];
        let together = self.graph.constant_integers("blocks_together", &together);
        let numbers = self.graph.node("Reshape", &[&numbers, &apart], &[]);
        let scales = self.graph.node("Reshape", &[&scales, &one_each], &[]);
        let product = self.graph.node("Mul", &[&numbers, &scales], &[]);
        Ok(self.graph.node("Reshape", &[&product, &together], &[]))
    }

    /// Attention, then the feed-forward network, each added to its input and normalised.
    fn layer(&mut self, layer: usize, input: &Tensor) -> Result<Tensor, EmbedError> {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let (hidden, intermediate) = (self.hidden, self.config.intermediate_size);

        // One product for queries, keys and values: a wide matrix keeps the cores busier than three
        // narrow ones.
        let parts = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        let joined = self.linear(input, &parts, hidden, hidden)?;
        let [queries, keys, values] = self.graph.split_in_three(&joined.product);
        let heads = Attribute::Integer("num_heads", self.config.num_attention_heads as i64);
        let context = self.graph.fused_node(
            "MultiHeadAttention",
            &[&queries, &keys, &values, &joined.bias],
            &[heads],
        );
        let attention = self.linear(&context, &[name("attention.output.dense")], hidden, hidden)?;
        let attended =
            self.add_and_normalize(&attention, input, &name("attention.output.LayerNorm"))?;

        let wide = self.linear(
            &attended,
            &[name("intermediate.dense")],
            intermediate,
            hidden,
        )?;
        let wide = self
            .graph
            .fused_node("BiasGelu", &[&wide.product, &wide.bias], &[]);
        let narrow = self.linear(&wide, &[name("output.dense")], hidden, intermediate)?;
        self.add_and_normalize(&narrow, &attended, &name("output.LayerNorm"))
    }

    /// Mean over the tokens of each text, scaled to length 1.
    fn pool(&mut self, states: &Tensor) {
        self.graph.output(
            SENTENCE_VECTORS,
            Element::Float,
            &[Dimension::Named("texts"), Dimension::Fixed(self.hidden)],
        );
        let token_axis = self.integer("token_axis", 1);
        let mean = self.graph.node(
            "ReduceMean",
            &[states, &token_axis],
            &[Attribute::Integer("keepdims", 0)],
        );
        let l2 = [Attribute::Integer("axis", -1), Attribute::Integer("p", 2)];
        self.graph
            .node_named(SENTENCE_VECTORS, "LpNormalization", &[&mean], &l2);
    }

    /// The score of a pair: two linear layers over the state of its first token, with a hyperbolic tangent between them.
    fn classify(&mut self, states: &Tensor) -> Result<(), EmbedError> {
        let shape = [Dimension::Named("texts"), Dimension::Fixed(1)];
        self.graph.output(SCORES, Element::Float, &shape);
        let zero = self.integer("first_token", 0);
        let one = self.integer("second_token", 1);
        let axis = self.integer("tokens_axis", 1);
        let first = self.graph.node("Slice", &[states, &zero, &one, &axis], &[]);
        let first = self.graph.node("Squeeze", &[&first, &axis], &[]);
        let layer = self.linear(
            &first,
            &["pooler.dense".to_owned()],
            self.hidden,
            self.hidden,
        )?;
        let pooled = self.graph.node("Add", &[&layer.product, &layer.bias], &[]);
        let pooled = self.graph.node("Tanh", &[&pooled], &[]);
        let layer = self.linear(&pooled, &["classifier".to_owned()], 1, self.hidden)?;
        self.graph
            .node_named(SCORES, "Add", &[&layer.product, &layer.bias], &[]);
        Ok(())
    }

    /// Makes the last layer's states an output.
    fn show(&mut self, states: &Tensor) {
        let shape = [
            Dimension::Named("texts"),
            Dimension::Named("tokens"),
            Dimension::Fixed(self.hidden),
        ];
        self.graph.output(TOKEN_STATES, Element::Float, &shape);
        self.graph
            .node_named(TOKEN_STATES, "Identity", &[states], &[]);
    }

    /// Linear layers of the same input, their outputs side by side; the weights are `[outputs,
    /// inputs]` each.
    fn linear(
        &mut self,
        input: &Tensor,
        layers: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, EmbedError> {
        match self.quantization {
            Quantization::Fp32 => self.linear_fp32(input, layers, outputs, inputs),
            Quantization::Int8 => self.linear_int8(input, layers, outputs, inputs),
        }
    }

    /// The weights stay in their file as they are; the runtime joins and transposes them once,
    /// while it loads.
    fn linear_fp32(
        &mut self,
        input: &Tensor,
        layers: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, EmbedError> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for layer in layers {
            weights.push(self.floats(&format!("{layer}.weight"), &[outputs, inputs])?);
            biases.push(self.floats(&format!("{layer}.bias"), &[outputs])?);
        }
        let weight = self.joined(weights);
        let bias = self.joined(biases);
        let weight = self.graph.node(
            "Transpose",
            &[&weight],
            &[Attribute::Integers("perm", &[1, 0])],
        );
        Ok(Linear {
            product: self.graph.node("MatMul", &[input, &weight], &[]),
            bias,
        })
    }

    /// The operator finds the range of its input in each call, so that no calibration data is
    /// needed.
    fn linear_int8(
        &mut self,
        input: &Tensor,
        layers: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, EmbedError> {
        let (mut matrix, mut biases) = (QuantizedMatrix::default(), Vec::new());
        for layer in layers {
            matrix.append(QuantizedMatrix::read(
                self.weights,
                &format!("{layer}.weight"),
                [outputs, inputs],
            )?);
            biases.extend(self.weights.numbers(&format!("{layer}.bias"), &[outputs])?);
        }
        let (name, width) = (&layers[0], biases.len());
        let bytes = matrix.transposed_bytes();
        let weight = self.graph.constant(
            &format!("{name}.integers"),
            Element::Int8,
            &[inputs, width],
            &bytes,
        );
        let scales =
            self.graph
                .constant_floats(&format!("{name}.scales"), &[width], &matrix.scales);
        let bias = self
            .graph
            .constant_floats(&format!("{name}.bias"), &[width], &biases);
        Ok(Linear {
            product: self.graph.fused_node(
                "DynamicQuantizeMatMul",
                &[input, &weight, &scales],
                &[],
            ),
            bias,
        })
    }

    fn joined(&mut self, tensors: Vec<Tensor>) -> Tensor {
        if let [tensor] = tensors.as_slice() {
            return tensor.clone();
        }
        let tensors: Vec<&Tensor> = tensors.iter().collect();
        self.graph
            .node("Concat", &tensors, &[Attribute::Integer("axis", 0)])
    }

    fn add_and_normalize(
        &mut self,
        layer: &Linear,
        skipped: &Tensor,
        name: &str,
    ) -> Result<Tensor, EmbedError> {
        let (weight, bias) = self.layer_norm(name)?;
        let inputs = [&layer.product, skipped, &weight, &bias, &layer.bias];
        let epsilon = Attribute::Float("epsilon", self.config.layer_norm_eps);
        Ok(self
            .graph
            .fused_node("SkipLayerNormalization", &inputs, &[epsilon]))
    }

    fn layer_norm(&mut self, name: &str) -> Result<(Tensor, Tensor), EmbedError> {
        let shape = [self.hidden];
        Ok((
            self.floats(&format!("{name}.weight"), &shape)?,
            self.floats(&format!("{name}.bias"), &shape)?,
        ))
    }

    /// A tensor of the weights in 32 bits: left in its file, or copied when the graph is to stand
    /// alone.
    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, EmbedError> {
        let place = self.weights.place(name, shape)?;
        Ok(match self.quantization {
            Quantization::Fp32 => {
                let file = self.weights.file_name();
                let numbers = self.graph.external_floats(name, shape, &file, place);
                match place.width {
                    Width::Bits32 => numbers,
                    // Once, while the runtime loads: what is constant is worked out then.
                    Width::Bits16 | Width::Bits8 => self.cast(&numbers, Element::Float),
                }
            }
            Quantization::Int8 => {
                self.graph
                    .constant_floats(name, shape, &self.weights.numbers(name, shape)?)
            }
        })
    }

    fn integer(&mut self, name: &str, value: i64) -> Tensor {
        self.graph.constant_integers(name, &[value])
    }

    fn cast(&mut self, input: &Tensor, element: Element) -> Tensor {
        self.graph.node(
            "Cast",
            &[input],
            &[Attribute::Integer("to", element.number())],
        )
    }
}

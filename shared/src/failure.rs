//! The closed set of reasons for which a document or a question can fail, as users see them:
//! a stable code and a sentence with the next step. Causes stay in our logs.

use serde::{Deserialize, Serialize};

macro_rules! failures {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $retryable:literal, $message:literal;)*) => {
        /// Why a job failed for good. Stored by its code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Failure {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl Failure {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable code: part of the API, never renamed.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What happened and what to do next, for people.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// Whether asking again without changing anything can help.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }
        }
    };
}

failures! {
    NotAPdf = "not_a_pdf", false,
        "This file is not a PDF. Open it to check what it is, and upload a PDF.";
    EmptyFile = "empty_file", false,
        "This file is empty. Check it and upload it again.";
    Damaged = "damaged", false,
        "This file is damaged and could not be repaired. Open it in the program it comes from, save it anew and upload that.";
    NoPages = "no_pages", false,
        "This file has no pages. Check the file and upload it again.";
    NoText = "no_text", false,
        "This document has no text, and text recognition (OCR) found none in the pictures of a PDF. Open it to check what it shows; scan it more sharply, or set LECTERN_OCR_LANGUAGES to its language, and upload it again.";
    OcrOff = "ocr_off", false,
        "This PDF has no text, only pictures of pages, and text recognition (OCR) is off. Set LECTERN_OCR=auto, or `ocr` of the collection, and try it again, or run it through OCR yourself and upload the result.";
    OcrUnavailable = "ocr_unavailable", false,
        "This PDF has no text, only pictures of pages, and text recognition (OCR) is not available. Install Tesseract with the data of LECTERN_OCR_LANGUAGES where the workers run and try it again, or run it through OCR yourself and upload the result.";
    OcrFailed = "ocr_failed", false,
        "This PDF has no text, only pictures of pages, and text recognition (OCR) could not read them. Save it anew or scan it again, or raise LECTERN_OCR_SECONDS_MAX and LECTERN_OCR_MEMORY_BYTES_MAX and try it again.";
    PasswordRequired = "password_required", false,
        "This file is protected by a password. Try it again with the password, or upload it again with the password in the form field `password`, before the file.";
    /// For clients the same as [`Failure::PasswordRequired`], whose code it shows: they ask for a password.
    PasswordWrong = "password_wrong", false,
        "This PDF is protected by a password, and the one that came with it is wrong. Try it again with the right password.";
    EncryptionUnsupported = "encryption_unsupported", false,
        "This PDF is encrypted in a way that Lectern can't open. Save it without encryption and upload that.";
    TooManyPages = "too_many_pages", false,
        "This file has more pages than this server accepts. Split it, or raise LECTERN_PARSE_PAGES_MAX.";
    TooManyChunks = "too_many_chunks", false,
        "This document has more text than this server accepts. Split it, or raise LECTERN_CHUNKS_MAX.";
    PageTooBig = "page_too_big", false,
        "The pages of this PDF unpack to more than any honest page holds. Save it anew and upload that.";
    UnpackedTooBig = "unpacked_too_big", false,
        "This file unpacks to far more than its size. Save it anew or split it, or raise LECTERN_PARSE_UNPACKED_BYTES_MAX.";
    TooMuchText = "too_much_text", false,
        "This file unpacks to more text than this server accepts. Split it, or raise LECTERN_PARSE_OUTPUT_BYTES_MAX.";
    ParseTimedOut = "parse_timed_out", false,
        "Reading this file took longer than allowed. Save it anew or split it, or raise LECTERN_PARSE_SECONDS_MAX.";
    ParseMemory = "parse_memory", false,
        "Reading this file took more memory than allowed. Save it anew or split it, or raise LECTERN_PARSE_MEMORY_BYTES_MAX.";
    ParserCrashed = "parser_crashed", false,
        "This file made the parser crash; nothing else was harmed. Save it anew in the program it comes from and upload that.";
    FileMissing = "file_missing", false,
        "The uploaded file is no longer in the blob store. Upload it again.";
    DamagedZip = "damaged_zip", false,
        "This zip can't be read. Open it to check what it is, pack the files anew and upload that.";
    TooManyEntries = "too_many_entries", false,
        "This zip has more files than this server accepts. Split it, or raise LECTERN_IMPORT_ENTRIES_MAX.";
    ZipTooBig = "zip_too_big", false,
        "This zip unpacks to more than this server accepts. Split it, or raise LECTERN_IMPORT_UNPACKED_BYTES_MAX.";
    GeneratorUnavailable = "generator_unavailable", true,
        "The answer generator can't be reached or failed. Ask again in a moment; if it stays so, check LECTERN_OPENAI_BASE_URL and the server's log.";
    GeneratorBusy = "generator_busy", true,
        "The answer generator has too much to do, or the quota of its key is used up. Ask again in a minute; if it stays so, look at the quota of LECTERN_OPENAI_API_KEY.";
    GeneratorTimedOut = "generator_timed_out", true,
        "The answer generator took longer than allowed. Ask again in a moment; if it stays so, use a faster model, or raise LECTERN_GENERATOR_TIMEOUT_SECONDS and LECTERN_GENERATOR_SECONDS_MAX.";
    GeneratorEmpty = "generator_empty", true,
        "The answer generator ended without an answer. Ask again or in other words; for a model that thinks first, raise LECTERN_ANSWER_TOKENS_MAX.";
    GeneratorRefused = "generator_refused", false,
        "The answer generator refused the request. Check LECTERN_OPENAI_MODEL and LECTERN_OPENAI_API_KEY, and that the model can take LECTERN_CONTEXT_TOKENS_MAX.";
    WebhookAddress = "webhook_address", true,
        "The name of this webhook's URL leads to a private address. Use a public one, or set LECTERN_WEBHOOK_ALLOW_PRIVATE.";
    WebhookUnreachable = "webhook_unreachable", true,
        "The receiver of this webhook could not be reached in time. Check its URL and that it runs, then try again.";
    WebhookRefused = "webhook_refused", true,
        "The receiver of this webhook did not answer with a status of success. Look into its log, then try again.";
    Cancelled = "cancelled", true,
        "This was cancelled before it was done.";
    Internal = "internal", true,
        "Something went wrong on our side, several times. Try again; if it stays so, look into the worker's log.";
}

/// By hand: the derive doesn't see the codes, which a macro writes.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Failure {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .enum_values(Some(Self::ALL.iter().map(|failure| failure.code())))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Failure {
    fn name() -> std::borrow::Cow<'static, str> {
        "FailureCode".into()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::str::FromStr for Failure {
    type Err = UnknownFailure;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|failure| failure.code() == code)
            .ok_or_else(|| UnknownFailure(code.to_owned()))
    }
}

/// A code that this release does not know, as a newer one may have written.
#[derive(Debug, thiserror::Error)]
#[error("unknown failure code {0}")]
pub struct UnknownFailure(String);

/// A failure as the API and the event streams show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Failure))]
pub struct FailureReport {
    pub code: String,
    pub message: String,
    pub retryable: bool,
}

impl From<Failure> for FailureReport {
    fn from(failure: Failure) -> Self {
        let code = match failure {
            Failure::PasswordWrong => Failure::PasswordRequired.code(),
            other => other.code(),
        };
        Self {
            code: code.to_owned(),
            message: failure.message().to_owned(),
            retryable: failure.is_retryable(),
        }
    }
}

impl FailureReport {
    /// From the code in a row, which a newer release may have written.
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        code.parse::<Failure>().unwrap_or(Failure::Internal).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_every_message_is_a_sentence() {
        for &failure in Failure::ALL {
            assert_eq!(failure.code().parse::<Failure>().unwrap(), failure);
            assert!(failure.message().ends_with('.'), "{failure}");
        }
    }

    #[test]
    fn a_wrong_password_is_a_missing_one_with_another_message() {
        let report = FailureReport::from_code("password_wrong");
        assert_eq!(report.code, "password_required");
        assert!(report.message.contains("wrong"), "{}", report.message);
    }

    #[test]
    fn a_code_from_a_newer_release_is_shown_as_internal() {
        assert_eq!(FailureReport::from_code("from_the_future").code, "internal");
    }
}

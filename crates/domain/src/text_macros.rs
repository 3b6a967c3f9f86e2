//! The two shapes that small names take, written once.

/// Gives an enum its stored names: `as_str`, `Display` and `FromStr`, and the list of all values.
#[macro_export]
macro_rules! names_of {
    ($type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            /// The stored and served name.
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $name),* }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                match text {
                    $($name => Ok($type::$variant),)*
                    _ => Err($crate::Invalid::because(concat!("must be one of" $(, " ", $name)*))),
                }
            }
        }
    };
}

/// Gives a `Box<str>` newtype its parser for short lower-case names.
#[macro_export]
macro_rules! lower_case_name {
    ($type:ident) => {
        impl $type {
            /// Reads a name of 1 to 40 characters: `[a-z0-9]` with inner `-` and `_`.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, $crate::Invalid> {
                let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
                let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                let bytes = text.as_bytes();
                if bytes.len() <= 40
                    && edge(bytes.first())
                    && edge(bytes.last())
                    && bytes.iter().copied().all(inner)
                {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::Invalid::because("must have 1 to 40 characters of a-z, 0-9 and inner - or _"))
                }
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::Invalid;

            fn try_from(text: String) -> Result<Self, $crate::Invalid> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.into()
            }
        }
    };
}

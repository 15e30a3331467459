//! `--k`, `--happy` and `--n`.

use tarn_proto::Shape;

use crate::error::CommandError;

/// How a version is cut, as far as it was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct ShapeArgs {
    /// How many shares bring the file back [default: 3, or as the file has it].
    #[arg(long, value_name = "NUMBER", conflicts_with = "part")]
    k: Option<u32>,
    /// On how many servers distinct shares must be [default: half way between k and n].
    #[arg(long, value_name = "NUMBER", conflicts_with = "part")]
    happy: Option<u32>,
    /// How many shares there are [default: 10, or as the file has it].
    #[arg(long, value_name = "NUMBER", conflicts_with = "part")]
    n: Option<u32>,
}

impl ShapeArgs {
    /// Whether anything was said.
    pub(crate) const fn is_said(&self) -> bool {
        self.k.is_some() || self.happy.is_some() || self.n.is_some()
    }

    /// The shape that is meant, of a file that has this one so far.
    pub(crate) fn applied_to(&self, current: Shape) -> Result<Shape, CommandError> {
        let k = self.k.unwrap_or_else(|| current.k().into());
        let n = self.n.unwrap_or_else(|| current.n().into());
        let shape = match self.happy {
            Some(happy) => Shape::new(k, happy, n),
            None if (k, n) == (current.k().into(), current.n().into()) => Ok(current),
            None => Shape::with_default_happy(k, n),
        };
        shape.map_err(CommandError::usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        shape: ShapeArgs,
        #[arg(long)]
        part: bool,
    }

    fn typed(words: &[&str]) -> ShapeArgs {
        let line = ["publish"].iter().chain(words);
        <Typed as clap::Parser>::try_parse_from(line).unwrap().shape
    }

    #[test]
    fn what_is_not_said_of_the_shape_stays() {
        let of = |words: &[&str], current| typed(words).applied_to(current);
        let odd = Shape::new(2, 2, 9).unwrap();
        assert_eq!(of(&[], odd).unwrap(), odd);
        assert_eq!(of(&["--k", "2"], odd).unwrap(), odd);
        let wider = of(&["--n", "12"], odd).unwrap();
        assert_eq!((wider.k(), wider.happy(), wider.n()), (2, 7, 12));
        let chosen = of(&["--k", "1", "--happy", "1", "--n", "1"], odd).unwrap();
        assert_eq!((chosen.k(), chosen.happy(), chosen.n()), (1, 1, 1));
        let error = of(&["--k", "10"], odd).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
    }
}

use std::{error::Error, path::PathBuf, process::Stdio};

use async_trait::async_trait;
use sotto_client::TokenProvider;
use tokio::process::Command;

use crate::{arguments::AppToken, failure::Failure};

/// Where app tokens come from.
pub(crate) enum TokenSource {
    Text(String),
    File(PathBuf),
    Command(String),
    /// None was given; a command that needs one says so.
    None,
}

impl From<AppToken> for TokenSource {
    fn from(given: AppToken) -> Self {
        match given {
            AppToken { app_token: Some(token), .. } => Self::Text(token),
            AppToken { app_token_file: Some(file), .. } => Self::File(file),
            AppToken { app_token_command: Some(command), .. } => Self::Command(command),
            _ => Self::None,
        }
    }
}

#[async_trait]
impl TokenProvider for TokenSource {
    async fn app_token(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let token = match self {
            Self::Text(token) => token.clone(),
            Self::File(file) => tokio::fs::read_to_string(file).await?,
            Self::Command(command) => run(command).await?,
            Self::None => return Err(Box::new(Failure::NoAppToken)),
        };
        Ok(token.trim().to_owned())
    }
}

async fn run(command: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("the token command ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_prints_the_token() {
        let source = TokenSource::Command("echo abc".to_owned());
        assert_eq!(source.app_token().await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_command_that_fails_gives_none() {
        for source in [TokenSource::Command("exit 3".to_owned()), TokenSource::None] {
            assert!(source.app_token().await.is_err());
        }
    }
}

//! The fixed bodies of the real service.

/// `GET /`. Source: AWS documentation of the instance metadata versions (Snow family page), as of 2021-07-15.
pub(super) const VERSIONS: &str = "\
1.0
2007-01-19
2007-03-01
2007-08-29
2007-10-10
2007-12-15
2008-02-01
2008-09-01
2009-04-04
2011-01-01
2011-05-01
2012-01-12
2014-02-25
2014-11-05
2015-10-20
2016-04-19
2016-06-30
2016-09-02
2018-03-28
2018-08-17
2018-09-24
2019-10-01
2020-10-27
2021-01-03
2021-03-23
2021-07-15
latest";

/// The XHTML page of an error, as recorded from the real service (339 bytes for a 404). SDKs look at the status only,
/// but some take the body of a failed listing for a role's name: this body ends such an attempt cleanly, a bare word
/// would not.
macro_rules! error_page {
    ($title:literal) => {
        concat!(
            "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n",
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n",
            "\t\t \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n",
            "<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n",
            " <head>\n  <title>",
            $title,
            "</title>\n </head>\n <body>\n  <h1>",
            $title,
            "</h1>\n </body>\n</html>\n"
        )
    };
}

pub(super) const BAD_REQUEST: &str = error_page!("400 - Bad Request");
pub(super) const UNAUTHORIZED: &str = error_page!("401 - Unauthorized");
pub(super) const NOT_FOUND: &str = error_page!("404 - Not Found");
pub(super) const NOT_ALLOWED: &str = error_page!("405 - Not Allowed");
pub(super) const PAYLOAD_TOO_LARGE: &str = error_page!("413 - Payload Too Large");
pub(super) const UNAVAILABLE: &str = error_page!("503 - Service Unavailable");

/// What the container credentials endpoint says instead: JSON with `code` and `message`, as the agent of ECS.
macro_rules! json_error {
    ($code:literal, $message:literal) => {
        concat!("{\"code\":\"", $code, "\",\"message\":\"", $message, "\"}")
    };
}

pub(super) const FORWARDED: &str =
    json_error!("Forwarded", "X-Forwarded-For: credentials are for this Pod alone");
pub(super) const NOT_AUTHORIZED: &str = json_error!(
    "NotAuthorized",
    "Authorization has to be the contents of the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names"
);
pub(super) const NO_CREDENTIALS: &str =
    json_error!("NoCredentials", "there are no credentials now: the emulator's log says why");

#[cfg(test)]
mod tests {
    #[test]
    fn the_404_page_is_as_long_as_the_recorded_one() {
        assert_eq!(super::NOT_FOUND.len(), 339);
    }
}

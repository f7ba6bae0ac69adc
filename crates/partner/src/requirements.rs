//! Stripe's requirement names in plain words. A name that is not in the table is made readable, so that nothing is hidden.

/// What stands for itself, however it is prefixed: a name begins, contains or ends with the key.
const WORDS: &[(&str, &str)] = &[
    ("external_account", "the bank account to pay to"),
    ("tos_acceptance", "your acceptance of Stripe's terms"),
    ("business_profile.url", "your website's address"),
    ("business_profile.mcc", "what kind of business you run"),
    ("business_profile.product_description", "a few words about what you sell"),
    ("business_profile.support_", "how your own customers reach you"),
    ("business_profile", "a few words about your business"),
    ("business_type", "whether you are a company or an individual"),
    ("company.tax_id", "your company's tax number"),
    ("company.vat_id", "your company's VAT number"),
    ("company.registration_number", "your company's registration number"),
    ("company.name", "your company's registered name"),
    ("company.phone", "your company's telephone number"),
    ("company.address", "your company's address"),
    ("company.structure", "your company's legal form"),
    ("company.verification", "a document that proves your company exists"),
    ("company.owners_provided", "that all owners of the company are listed"),
    ("company.directors_provided", "that all directors of the company are listed"),
    ("company.executives_provided", "that all executives of the company are listed"),
    ("ownership_declaration", "a signed statement of who owns the company"),
    ("relationship.title", "the job title of who represents the company"),
    ("relationship", "how that person belongs to the company"),
    ("proof_of_liveness", "a photo of the person, taken live"),
    ("verification.additional_document", "a second document of the person, with the address on it"),
    ("verification.document", "an identity document of the person"),
    ("verification", "a document that proves who the person is"),
    ("id_number", "the person's tax or identity number"),
    ("ssn_last_4", "the last four digits of the person's social security number"),
    ("dob", "the person's date of birth"),
    ("address", "the person's address"),
    ("first_name", "the person's name"),
    ("last_name", "the person's name"),
    ("full_name_aliases", "other names the person has used"),
    ("nationality", "the person's nationality"),
    ("political_exposure", "whether the person holds a public office"),
    ("email", "an e-mail address of the person"),
    ("phone", "a telephone number of the person"),
    ("documents", "a document about the company"),
    ("settings.payments.statement_descriptor", "the name on your customers' card statements"),
    ("representative", "who represents the company"),
    ("owners", "who owns the company"),
    ("directors", "who directs the company"),
    ("executives", "who runs the company"),
];

/// One requirement in words.
fn in_words(name: &str) -> String {
    if let Some((_, words)) = WORDS.iter().find(|(key, _)| name.contains(key)) {
        return (*words).into();
    }
    // `company.some_new_thing` reads as "some new thing (company)"; ids of people say nothing to anybody.
    let parts: Vec<String> =
        name.split('.').filter(|p| !p.starts_with("person_") && !p.is_empty()).map(|p| p.replace('_', " ")).collect();
    match parts.as_slice() {
        [] => "more details".into(),
        [one] => one.clone(),
        [.., before, last] => format!("{last} ({before})"),
    }
}

/// What an account lacks, as its owner would say it: at most `most` things by name, and how many others there are.
pub fn sentence(names: &[String], most: usize) -> String {
    if let Some(reason) = names.iter().find(|n| n.starts_with("rejected")) {
        let why = match reason.as_str() {
            "rejected.fraud" => "because it suspects fraud",
            "rejected.terms_of_service" => "because its terms do not allow your business",
            "rejected.listed" => "because a name on it is on a list of people whom it may not pay",
            _ => "after a review",
        };
        return format!(
            "Stripe has closed this account {why}. Your commission is kept. Write to us, and we look at it together."
        );
    }
    if names.iter().any(|n| n == "pending_verification") {
        return "Stripe is checking what you sent. It usually takes a day; there is nothing for you to do.".into();
    }
    let mut words: Vec<String> = Vec::new();
    for word in names.iter().map(|n| in_words(n)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let others = words.len().saturating_sub(most);
    words.truncate(most);
    if others > 0 {
        words.push(if others == 1 { "one thing more".into() } else { format!("{others} things more") });
    }
    match words.as_slice() {
        [] => "Stripe has not confirmed yet that your account can receive transfers. If it takes longer than a day, open it and check.".into(),
        [one] => format!("Stripe still needs {one}."),
        [list @ .., last] => format!("Stripe still needs {} and {last}.", list.join(", ")),
    }
}

/// Why a bank refused a payout, by Stripe's code, as the second half of a sentence.
pub fn bank_refusal(code: Option<&str>) -> &'static str {
    match code.unwrap_or_default() {
        "account_closed" => "the bank account has been closed",
        "account_frozen" => "the bank account is frozen",
        "bank_account_restricted" => "the bank account does not take such payments",
        "bank_ownership_changed" => "the bank account belongs to somebody else now",
        "could_not_process" | "declined" => "the bank could not process it",
        "incorrect_account_holder_name" => "the bank knows another name of the account's holder",
        "incorrect_account_holder_address" => "the bank knows another address of the account's holder",
        "incorrect_account_holder_tax_id" => "the bank knows another tax number of the account's holder",
        "incorrect_account_type" => "it is another type of bank account than was said",
        "invalid_account_number" | "invalid_account_number_length" => "the bank has no account of that number",
        "invalid_currency" => "the bank account is not of that currency",
        "no_account" => "the bank does not find the account",
        "unsupported_card" => "the card no longer takes payouts",
        _ => "the bank refused it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_said_in_plain_words() {
        let table: &[(&[&str], &str)] = &[
            (
                &[],
                "Stripe has not confirmed yet that your account can receive transfers. If it takes longer than a day, open it and check.",
            ),
            (&["external_account"], "Stripe still needs the bank account to pay to."),
            (
                &["external_account", "tos_acceptance.date", "tos_acceptance.ip", "company.tax_id"],
                "Stripe still needs the bank account to pay to, your acceptance of Stripe's terms and your company's tax number.",
            ),
            (
                &["representative.dob.day", "representative.dob.month", "person_1Abc.verification.document"],
                "Stripe still needs the person's date of birth and an identity document of the person.",
            ),
            (
                &["external_account", "business_profile.mcc", "company.phone", "owners.email", "individual.id_number"],
                "Stripe still needs the bank account to pay to, what kind of business you run, your company's telephone number and 2 things more.",
            ),
            (&["person_1Abc.some_new_thing"], "Stripe still needs some new thing."),
            (&["company.some_new_thing"], "Stripe still needs some new thing (company)."),
            (&["person_1Abc."], "Stripe still needs more details."),
            (
                &["pending_verification"],
                "Stripe is checking what you sent. It usually takes a day; there is nothing for you to do.",
            ),
        ];
        for (names, expected) in table {
            let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            assert_eq!(sentence(&names, 3), *expected);
        }
        assert!(sentence(&["rejected.fraud".into(), "external_account".into()], 3).starts_with("Stripe has closed"));
    }

    #[test]
    fn a_word_is_found_before_a_vaguer_one() {
        for (n, (key, _)) in WORDS.iter().enumerate() {
            let earlier = WORDS.iter().take(n).find(|(k, _)| key.contains(k));
            assert_eq!(earlier, None, "{key} is never reached");
        }
    }
}
